# FreeKD: in an epoch of its own, prompts learn to find that in the frequencies of the pyramid by which the teacher
# detects. Then the student's details are to be the teacher's there, and its features everywhere. The number of prompts
# and the weights are the authors' for RetinaNet.
method = dict(
    type='shake_mm.Distiller',
    connectors=dict(
        prompt=dict(type='FrequencyPrompt', source=['teacher0.f*'], prompts=6, scales=3),
        prompted=dict(type='PromptedPyramid', source=['connectors.prompt', 'teacher0.f*']),
    ),
    terms=dict(
        task=dict(of='student'),
        prompted=dict(of='connectors.prompted', loss=dict(type='OwnLoss')),
        similarity=dict(of='connectors.prompt', loss=dict(type='MaskSimilarityLoss')),
        freekd=dict(
            of=['student.f*'],
            to=['teacher0.f*'],
            reference='connectors.prompt',
            loss=dict(type='FreeKDLoss', whole=5.0),
        ),
    ),
    stages=dict(
        prompts=dict(until=1, adds_epochs=True, terms=['prompted', 'similarity'], train=['connectors']),
        main=dict(terms=['task', 'freekd'], train=['student', 'terms'], reset_optimizer=True),
    ),
)
