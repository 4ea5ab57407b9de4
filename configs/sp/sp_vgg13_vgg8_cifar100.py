_base_ = ['../_base_/pairs/vgg13_vgg8_cifar100.py', '../_base_/methods/sp.py']
model = dict(
    _delete_=True, type='shake_mm.Distiller', student=_base_.model, teachers=_base_.teachers, terms=_base_.terms
)
