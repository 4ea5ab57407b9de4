_base_ = '../_base_/pairs/retinanet-r18-w32_retinanet-r18-w8_digit-scenes.py'
model = dict(_delete_=True, type='shake_mm.SHAKE', student=_base_.model, teachers=_base_.teachers)
