# ScaleKD: the teacher's places look where to read in the student's features. What they find in the last level but one
# goes on in the teacher's own last stage, and asks in the last level; both are to be the teacher's, as they are and
# without what is the same everywhere. Beside KD at a temperature of 1.
method = dict(
    type='shake_mm.KD',
    tau=1.0,
    alpha=0.5,
    lam=0.5,
    connectors=dict(
        early=dict(type='CrossAttentionProjector', source=['student.fl', 'teacher0.fl']),
        early_frequency=dict(type='CrossAttentionProjector', source=['student.fl', 'teacher0.fl']),
        perceived=dict(type='TeacherStages', source=['connectors.early', 'teacher0.fl']),
        perceived_frequency=dict(type='TeacherStages', source=['connectors.early_frequency', 'teacher0.fl']),
        late=dict(type='CrossAttentionProjector', source=['student.fm', 'teacher0.fm', 'connectors.perceived']),
        late_frequency=dict(
            type='CrossAttentionProjector', source=['student.fm', 'teacher0.fm', 'connectors.perceived_frequency']
        ),
    ),
    terms=dict(
        perceived=dict(of='connectors.perceived', to='teacher0.fm', loss=dict(type='ScaleKDLoss'), weight=0.08),
        perceived_frequency=dict(
            of='connectors.perceived_frequency',
            to='teacher0.fm',
            loss=dict(type='ScaleKDLoss', view='frequency'),
            weight=0.06,
        ),
        late=dict(of='connectors.late', to='teacher0.fm', loss=dict(type='ScaleKDLoss'), weight=0.08),
        late_frequency=dict(
            of='connectors.late_frequency',
            to='teacher0.fm',
            loss=dict(type='ScaleKDLoss', view='frequency'),
            weight=0.06,
        ),
    ),
)
