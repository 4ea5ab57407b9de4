_base_ = ['../_base_/pairs/3xvgg16_vgg16_cifar100-okddip.py', '../_base_/methods/shake.py']
model = dict(_delete_=True, student=_base_.model, teachers=_base_.teachers, **_base_.method)
