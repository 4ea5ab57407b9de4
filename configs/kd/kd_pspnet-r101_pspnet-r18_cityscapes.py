_base_ = [
    'mmseg::pspnet/pspnet_r18-d8_4xb2-80k_cityscapes-512x1024.py',
    '../_base_/distill.py',
    '../_base_/methods/kd.py',
]
teacher = 'mmseg::pspnet/pspnet_r101-d8_4xb2-80k_cityscapes-512x1024.py'
model = dict(_delete_=True, student=_base_.model, teachers=dict(config=teacher, checkpoint=teacher), **_base_.method)
