_base_ = ['mmdet::gfl/gfl_r50_fpn_1x_coco.py', '../_base_/distill.py', '../_base_/methods/ld_cls.py']
teacher = 'mmdet::gfl/gfl_r101_fpn_ms-2x_coco.py'
model = dict(_delete_=True, student=_base_.model, teachers=dict(config=teacher, checkpoint=teacher), **_base_.method)
