_base_ = ['../_base_/pairs/resnet34_resnet18_8xb32_in1k.py', '../_base_/methods/kd.py']
model = dict(_delete_=True, student=_base_.model, teachers=_base_.teachers, **_base_.method)
