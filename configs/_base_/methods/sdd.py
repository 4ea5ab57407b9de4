# SDD, scale decoupled distillation: KD of the whole image, of its quarters and of its sixteenths; regions in which the
# teacher sees another class count twice.
method = dict(
    type='shake_mm.Distiller',
    terms=dict(
        task=dict(of='student'),
        sdd=dict(
            of='student.neck:input',
            to='teacher*.neck:input',
            connector=dict(type='RegionalLogits'),
            to_connector=dict(type='RegionalLogits'),
            loss=dict(type='SDDLoss'),
            weight=1.0,
        ),
    ),
)
