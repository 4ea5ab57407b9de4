# RKD: distances of pairs (25) and angles of triples (50) of samples.
terms = dict(
    task=dict(of='student'),
    rkd=dict(of='student.pool', to='teacher*.pool', loss=dict(type='RKDLoss'), weight=1.0),
)
