_base_ = ['../_base_/pairs/detr-r18-w32_detr-r18-w8_digit-scenes.py', '../_base_/methods/kd_detr_softmax.py']
model = dict(_delete_=True, student=_base_.model, teachers=_base_.teachers, **_base_.method)
