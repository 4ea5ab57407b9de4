_base_ = [
    'mmseg::segformer/segformer_mit-b0_8xb2-160k_ade20k-512x512.py',
    '../_base_/distill.py',
    '../_base_/methods/shake.py',
]
teacher = 'mmseg::segformer/segformer_mit-b5_8xb2-160k_ade20k-512x512.py'
model = dict(_delete_=True, student=_base_.model, teachers=dict(config=teacher, checkpoint=teacher), **_base_.method)
