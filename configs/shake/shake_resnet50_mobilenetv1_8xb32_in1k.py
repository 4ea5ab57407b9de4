_base_ = '../_base_/pairs/resnet50_mobilenetv1_8xb32_in1k.py'
model = dict(_delete_=True, type='shake_mm.SHAKE', student=_base_.model, teachers=_base_.teachers)
