# The losses of the variant that SHAKE's authors released, on a shadow head: every logit vector is normalized first, and
# the proxy learns from the labels too.
method = dict(
    type='shake_mm.Distiller',
    proxies=dict(type='ShadowHead'),
    terms=dict(
        task=dict(
            of='student.logits',
            connector=dict(type='LogitNorm'),
            loss=dict(type='mmpretrain.CrossEntropyLoss'),
        ),
        proxy_task=dict(
            of='proxy*.logits',
            connector=dict(type='LogitNorm'),
            loss=dict(type='mmpretrain.CrossEntropyLoss'),
        ),
        student_from_proxy=dict(
            of='student.logits',
            to='proxy*.logits',
            connector=dict(type='LogitNorm'),
            to_connector=dict(type='LogitNorm'),
            loss=dict(type='KLDivLoss', tau=4.0),
            weighting='mean',
        ),
        proxy_from_student=dict(
            of='proxy*.logits',
            to='student.logits',
            connector=dict(type='LogitNorm'),
            to_connector=dict(type='LogitNorm'),
            loss=dict(type='KLDivLoss', tau=4.0),
        ),
        proxy_from_teacher=dict(
            of='proxy*.logits',
            to='teacher*.logits',
            connector=dict(type='LogitNorm'),
            to_connector=dict(type='LogitNorm'),
            loss=dict(type='MSELoss'),
        ),
    ),
)

terms = method['terms']  # its former name
