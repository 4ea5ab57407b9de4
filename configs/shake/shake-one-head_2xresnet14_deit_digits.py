_base_ = ['../_base_/pairs/2xresnet14_deit_digits.py', '../_base_/methods/shake_deit_one_head.py']
model = dict(
    _delete_=True, student=dict(config=_base_.model, taps=_base_.taps), teachers=_base_.teachers, **_base_.method
)
