# PKT: the probability that one sample picks another as its neighbor.
method = dict(
    type='shake_mm.Distiller',
    terms=dict(
        task=dict(of='student'),
        pkt=dict(of='student.pool', to='teacher*.pool', loss=dict(type='PKTLoss'), weight=30000.0),
    ),
)

terms = method['terms']  # its former name
