_base_ = [
    'mmseg::pspnet/pspnet_r50-d8_4xb4-80k_ade20k-512x512.py',
    '../_base_/distill.py',
    '../_base_/methods/shake.py',
]
teacher = 'mmseg::pspnet/pspnet_r101-d8_4xb4-160k_ade20k-512x512.py'
model = dict(_delete_=True, student=_base_.model, teachers=dict(config=teacher, checkpoint=teacher), **_base_.method)
