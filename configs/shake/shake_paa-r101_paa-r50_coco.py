_base_ = ['mmdet::paa/paa_r50_fpn_1x_coco.py', '../_base_/distill.py', '../_base_/methods/shake.py']
teacher = 'mmdet::paa/paa_r101_fpn_ms-3x_coco.py'
model = dict(_delete_=True, student=_base_.model, teachers=dict(config=teacher, checkpoint=teacher), **_base_.method)
