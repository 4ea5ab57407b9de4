_base_ = '../_base_/pairs/faster-rcnn-r18-w32_faster-rcnn-r18-w8_digit-scenes.py'
model = dict(_delete_=True, type='shake_mm.KD', student=_base_.model, teachers=_base_.teachers)
