_base_ = ['../_base_/pairs/regnety-16gf_deit-tiny_8xb128_in1k.py', '../_base_/methods/shake_deit.py']
model = dict(
    _delete_=True, student=dict(config=_base_.model, taps=_base_.taps), teachers=_base_.teachers, **_base_.method
)
