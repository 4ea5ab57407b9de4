# The variant that the authors released: the proxy fuses the teacher's features, all logits are normalized.
_base_ = ['../_base_/pairs/vgg13_vgg8_cifar100.py', '../_base_/methods/shake_release.py']
model = dict(
    _delete_=True,
    type='shake_mm.Distiller',
    student=_base_.model,
    teachers=_base_.teachers,
    proxies=dict(type='TeacherFusion'),
    terms=_base_.terms,
)
