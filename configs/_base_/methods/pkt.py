# PKT: the probability that one sample picks another as its neighbour.
terms = dict(
    task=dict(of='student'),
    pkt=dict(of='student.pool', to='teacher*.pool', loss=dict(type='PKTLoss'), weight=30000.0),
)
