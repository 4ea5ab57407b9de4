# Hard-label distillation, as DeiT's paper compares with it: half from the labels, half from the teacher's decision.
method = dict(
    type='shake_mm.KD',
    alpha=0.5,
    lam=0.5,
    terms=dict(student_from_teacher=dict(loss=dict(type='HardLabelLoss'))),
)
