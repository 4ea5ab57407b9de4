# CRD: of many samples, the student's embedding is to find the teacher's of the same image, and the other way round.
# A config adds what belongs to its data: `num_samples` for the memories, and ContrastDataset around the training set.
method = dict(
    type='shake_mm.Distiller',
    terms=dict(
        task=dict(of='student'),
        crd=dict(
            of='student.pool',
            to='teacher*.pool',
            connector=dict(type='Embedding', normalize=True),
            to_connector=dict(type='Embedding', normalize=True),
            loss=dict(type='CRDLoss'),
            weight=0.8,
        ),
    ),
)

terms = method['terms']  # its former name
