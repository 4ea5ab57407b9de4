# MasKD: in an epoch of its own, tokens learn to find the regions of the pyramid by which the teacher detects. Then the
# student's features are to be the teacher's there, region by region; from its second epoch on only where the student
# sees them too. The number of tokens and the weight are the authors' for RetinaNet.
method = dict(
    type='shake_mm.Distiller',
    connectors=dict(
        tokens=dict(type='ReceptiveTokens', source=['teacher0.f*'], tokens=6),
        masked=dict(type='MaskedPyramid', source=['connectors.tokens', 'teacher0.f*']),
    ),
    terms=dict(
        task=dict(of='student'),
        detects=dict(of='connectors.masked', loss=dict(type='OwnLoss')),
        similarity=dict(of='connectors.tokens[0]', loss=dict(type='MaskSimilarityLoss')),
        maskd=dict(
            of=['student.f*'],
            to=['teacher0.f*'],
            reference='connectors.tokens',
            loss=dict(type='MasKDLoss', customized_from=2),
            weight=7.0,
        ),
    ),
    stages=dict(
        tokens=dict(until=1, adds_epochs=True, terms=['detects', 'similarity'], train=['connectors']),
        main=dict(terms=['task', 'maskd'], train=['student', 'terms'], reset_optimizer=True),
    ),
)
