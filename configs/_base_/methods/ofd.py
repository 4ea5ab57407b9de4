# OFD: features of every level before their ReLU, the teacher's no lower than a margin; where both are silenced, nothing
# is compared. Deeper levels weigh more.
method = dict(
    type='shake_mm.Distiller',
    terms=dict(
        task=dict(of='student'),
        ofd=dict(
            of='student.f*.preact',
            to='teacher*.f*.preact',
            connector=dict(type='ConvRegressor', relu=False, pointwise=True),
            to_connector=dict(type='MarginReLU'),
            loss=dict(type='OFDLoss'),
            weight=1e-3,
            level_decay=0.5,
        ),
    ),
)
