_base_ = ['mmdet::atss/atss_r50_fpn_1x_coco.py', '../_base_/distill.py', '../_base_/methods/crosskd_atss.py']
teacher = 'mmdet::atss/atss_r101_fpn_1x_coco.py'
model = dict(_delete_=True, student=_base_.model, teachers=dict(config=teacher, checkpoint=teacher), **_base_.method)
