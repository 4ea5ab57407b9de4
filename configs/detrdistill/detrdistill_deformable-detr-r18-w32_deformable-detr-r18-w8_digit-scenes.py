_base_ = [
    '../_base_/pairs/deformable-detr-r18-w32_deformable-detr-r18-w8_digit-scenes.py',
    '../_base_/methods/detrdistill.py',
]
model = dict(_delete_=True, student=_base_.model, teachers=_base_.teachers, **_base_.method)
