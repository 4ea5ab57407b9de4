_base_ = '../_base_/pairs/resnet50_mobilenetv2_cifar100.py'
model = dict(_delete_=True, type='shake_mm.SHAKE', student=_base_.model, teachers=_base_.teachers)
