# AB: a first stage of 30 epochs teaches the student's body which neurons of the teacher are active, in all of its
# levels, before their activation; deeper levels weigh more. Then the student trains alone, by the run's own schedule.
method = dict(
    type='shake_mm.Distiller',
    terms=dict(
        task=dict(of='student'),
        ab=dict(
            of='student.f*.preact',
            to='teacher*.f*.preact',
            connector=dict(type='ConvRegressor', relu=False, keep_equal=True),
            loss=dict(type='ABLoss'),
            weight=1.0,
            level_decay=0.5,
        ),
    ),
    stages=dict(
        init=dict(until=30, adds_epochs=True, terms=['ab'], train=['student.body', 'terms']),
        main=dict(terms=['task'], train=['student'], reset_optimizer=True),
    ),
)

terms = method['terms']  # its former name
