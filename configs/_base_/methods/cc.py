# CC: correlations between neighboring samples of a batch, in trained embeddings of both networks.
method = dict(
    type='shake_mm.Distiller',
    terms=dict(
        task=dict(of='student'),
        cc=dict(
            of='student.pool',
            to='teacher*.pool',
            connector=dict(type='Embedding'),
            to_connector=dict(type='Embedding'),
            loss=dict(type='CCLoss'),
            weight=0.02,
        ),
    ),
)

terms = method['terms']  # its former name
