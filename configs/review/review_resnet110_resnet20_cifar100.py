_base_ = ['../_base_/pairs/resnet110_resnet20_cifar100.py', '../_base_/methods/review_w1.py']
model = dict(
    _delete_=True, type='shake_mm.Distiller', student=_base_.model, teachers=_base_.teachers, terms=_base_.terms
)
