# CL, collaborative learning: four heads on what they share, each of which learns from the labels and from the mean of
# the others' logits. What is shared gets the mean of their gradients.
method = dict(
    type='shake_mm.Distiller',
    proxies=[dict(type='ShadowBranch'), dict(type='ShadowBranch'), dict(type='ShadowBranch')],
    gradient_scales={'student.fl': 0.25},
    terms=dict(
        task=dict(of='student', weight=0.5),
        head_task=dict(of='proxy*.logits', loss=dict(type='mmpretrain.CrossEntropyLoss'), weight=0.5),
        student_from_others=dict(
            of='student.logits',
            to=['proxy0.logits', 'proxy1.logits', 'proxy2.logits'],
            to_connector=dict(type='Ensemble'),
            loss=dict(type='SoftCELoss', tau=2.0),
            weight=0.5,
        ),
        head0_from_others=dict(
            of='proxy0.logits',
            to=['student.logits', 'proxy1.logits', 'proxy2.logits'],
            to_connector=dict(type='Ensemble'),
            loss=dict(type='SoftCELoss', tau=2.0),
            weight=0.5,
        ),
        head1_from_others=dict(
            of='proxy1.logits',
            to=['student.logits', 'proxy0.logits', 'proxy2.logits'],
            to_connector=dict(type='Ensemble'),
            loss=dict(type='SoftCELoss', tau=2.0),
            weight=0.5,
        ),
        head2_from_others=dict(
            of='proxy2.logits',
            to=['student.logits', 'proxy0.logits', 'proxy1.logits'],
            to_connector=dict(type='Ensemble'),
            loss=dict(type='SoftCELoss', tau=2.0),
            weight=0.5,
        ),
    ),
)
