# DIST: correlation instead of divergence, between classes and within each class. The loss is mmrazor's.
method = dict(
    type='shake_mm.Distiller',
    terms=dict(
        task=dict(of='student'),
        dist=dict(
            of='student.logits',
            to='teacher*.logits',
            loss=dict(type='mmrazor.DISTLoss', inter_loss_weight=2.0, intra_loss_weight=2.0, tau=4.0),
            weight=1.0,
        ),
    ),
)

terms = method['terms']  # its former name
