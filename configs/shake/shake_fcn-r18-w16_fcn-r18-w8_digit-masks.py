_base_ = ['../_base_/pairs/fcn-r18-w16_fcn-r18-w8_digit-masks.py', '../_base_/methods/shake.py']
model = dict(_delete_=True, student=_base_.model, teachers=_base_.teachers, **_base_.method)
