_base_ = ['../_base_/pairs/gfl-r18-w32_gfl-r18-w8_digit-scenes.py', '../_base_/methods/ld.py']
model = dict(_delete_=True, student=_base_.model, teachers=_base_.teachers, **_base_.method)
