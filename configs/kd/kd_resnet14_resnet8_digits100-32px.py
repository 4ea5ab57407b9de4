_base_ = '../_base_/pairs/resnet14_resnet8_digits100-32px.py'
model = dict(_delete_=True, type='shake_mm.KD', student=_base_.model, teachers=_base_.teachers)
