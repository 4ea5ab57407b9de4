_base_ = ['../_base_/pairs/3xresnet110_resnet110_cifar100-okddip.py', '../_base_/methods/shake_one_head.py']
model = dict(_delete_=True, student=_base_.model, teachers=_base_.teachers, **_base_.method)
