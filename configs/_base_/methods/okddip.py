# OKDDip: three peers branch off the student's network. Each learns from the labels and from a target of its own, which
# weighs the peers by attention; the student, their group leader, from the labels and the mean of their predictions.
method = dict(
    type='shake_mm.Distiller',
    proxies=[dict(type='ShadowBranch'), dict(type='ShadowBranch'), dict(type='ShadowBranch')],
    terms=dict(
        task=dict(of='student'),
        peer_task=dict(of='proxy*.logits', loss=dict(type='mmpretrain.CrossEntropyLoss')),
        peers=dict(
            of=[
                *(f'proxy{i}.logits' for i in range(3)),
                *(f'proxy{i}.network.neck' for i in range(3)),
            ],
            loss=dict(type='PeerAttentionLoss', tau=3.0),
        ),
        leader=dict(
            of='student.logits',
            to=['proxy0.logits', 'proxy1.logits', 'proxy2.logits'],
            to_connector=dict(type='Ensemble', tau=3.0),
            loss=dict(type='KLDivLoss', tau=3.0),
        ),
    ),
)
