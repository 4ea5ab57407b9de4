# RKD: distances of pairs (25) and angles of triples (50) of samples.
method = dict(
    type='shake_mm.Distiller',
    terms=dict(
        task=dict(of='student'),
        rkd=dict(of='student.pool', to='teacher*.pool', loss=dict(type='RKDLoss'), weight=1.0),
    ),
)

terms = method['terms']  # its former name
