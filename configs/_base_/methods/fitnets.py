# FitNets: the student's second stage, through a regressor, is to equal the teacher's.
method = dict(
    type='shake_mm.Distiller',
    terms=dict(
        task=dict(of='student'),
        fitnets=dict(
            of='student.f2',
            to='teacher*.f2',
            connector=dict(type='ConvRegressor'),
            loss=dict(type='FitNetsLoss'),
            weight=100.0,
        ),
    ),
)

terms = method['terms']  # its former name
