_base_ = ['../_base_/pairs/resnet32x4_resnet8x4_cifar100.py', '../_base_/methods/fitnets.py']
model = dict(
    _delete_=True, type='shake_mm.Distiller', student=_base_.model, teachers=_base_.teachers, terms=_base_.terms
)
