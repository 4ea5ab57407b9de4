_base_ = ['../_base_/pairs/wrn-40-2_wrn-16-2_cifar100.py', '../_base_/methods/dkd_b6.py']
model = dict(
    _delete_=True, type='shake_mm.Distiller', student=_base_.model, teachers=_base_.teachers, terms=_base_.terms
)
