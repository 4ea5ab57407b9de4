# CC: correlations between neighbouring samples of a batch, in trained embeddings of both networks.
terms = dict(
    task=dict(of='student'),
    cc=dict(
        of='student.pool',
        to='teacher*.pool',
        connector=dict(type='Embedding'),
        to_connector=dict(type='Embedding'),
        loss=dict(type='CCLoss'),
        weight=0.02,
    ),
)
