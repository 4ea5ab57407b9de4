# VID: a lower bound of the mutual information between the features of all stages.
method = dict(
    type='shake_mm.Distiller',
    terms=dict(
        task=dict(of='student'),
        vid=dict(
            of='student.f*',
            to='teacher*.f*',
            connector=dict(type='VIDRegressor'),
            loss=dict(type='VIDLoss'),
            weight=1.0,
        ),
    ),
)

terms = method['terms']  # its former name
