_base_ = ['../_base_/pairs/retinanet-r18-w32_retinanet-r18-w8_digit-scenes.py', '../_base_/methods/shake_sparse.py']
model = dict(_delete_=True, student=_base_.model, teachers=_base_.teachers, **_base_.method)
