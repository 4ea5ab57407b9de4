# CRD: of many samples, the student's embedding is to find the teacher's of the same image, and the other way round.
# It needs the data set wrapper ContrastDataset and `num_samples`.
terms = dict(
    task=dict(of='student'),
    crd=dict(
        of='student.pool',
        to='teacher*.pool',
        connector=dict(type='Embedding', normalize=True),
        to_connector=dict(type='Embedding', normalize=True),
        loss=dict(type='CRDLoss'),
        weight=0.8,
    ),
)
