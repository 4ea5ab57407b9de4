# AB: a first stage teaches the student's body which neurons of the teacher are active, in all stages, before their
# activation; deeper stages weigh more. Then the student trains alone.
terms = dict(
    task=dict(of='student'),
    ab=dict(
        of='student.f*.preact',
        to='teacher*.f*.preact',
        connector=dict(type='ConvRegressor', relu=False, keep_equal=True),
        loss=dict(type='ABLoss'),
        weight=1.0,
        level_decay=0.5,
    ),
)
