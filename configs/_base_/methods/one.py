# ONE: two branches beside the student's own, on what all three share, and a gate that makes an ensemble of them. All
# learn from the labels, and each branch from the ensemble.
method = dict(
    type='shake_mm.Distiller',
    proxies=[dict(type='ShadowBranch'), dict(type='ShadowBranch')],
    connectors=dict(
        ensemble=dict(type='BranchGate', source=['student.fl', 'student.logits', 'proxy0.logits', 'proxy1.logits']),
    ),
    terms=dict(
        task=dict(of='student'),
        branch_task=dict(of='proxy*.logits', loss=dict(type='mmpretrain.CrossEntropyLoss')),
        ensemble_task=dict(of='connectors.ensemble', loss=dict(type='mmpretrain.CrossEntropyLoss')),
        student_from_ensemble=dict(of='student.logits', to='connectors.ensemble', loss=dict(type='KLDivLoss', tau=3.0)),
        branch_from_ensemble=dict(of='proxy*.logits', to='connectors.ensemble', loss=dict(type='KLDivLoss', tau=3.0)),
    ),
)
