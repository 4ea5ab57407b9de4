# Multi-level logit distillation: of each sample, of the similarities between samples, and of those between classes,
# each at five temperatures. On one view; its authors train on a weak and a strong one.
method = dict(
    type='shake_mm.Distiller',
    terms=dict(
        task=dict(of='student'),
        instance=dict(of='student.logits', to='teacher*.logits', loss=dict(type='MLKDLoss', level='instance')),
        batch=dict(of='student.logits', to='teacher*.logits', loss=dict(type='MLKDLoss', level='batch')),
        classes=dict(of='student.logits', to='teacher*.logits', loss=dict(type='MLKDLoss', level='class')),
    ),
)
