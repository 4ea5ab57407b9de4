# DeiT's own distillation: the class head learns from the labels, the distillation token's from the teacher's decision.
_base_ = './deit.py'

method = dict(
    type='shake_mm.KD',
    alpha=0.5,
    lam=0.5,
    terms=dict(student_from_teacher=dict(of='proxy*.logits', loss=dict(type='HardLabelLoss'))),
)

terms = method['terms']  # its former name
