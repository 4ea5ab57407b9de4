# KD with the CRD benchmark's weights, as in Table 4: 0.1 CE + 0.9 KL.
_base_ = '../_base_/pairs/resnet14_shufflev2_digits100.py'
model = dict(_delete_=True, type='shake_mm.KD', student=_base_.model, teachers=_base_.teachers, alpha=0.1, lam=0.9)
