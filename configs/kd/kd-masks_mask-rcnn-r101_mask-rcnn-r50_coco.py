_base_ = ['mmdet::mask_rcnn/mask-rcnn_r50_fpn_1x_coco.py', '../_base_/distill.py', '../_base_/methods/kd_masks.py']
teacher = 'mmdet::mask_rcnn/mask-rcnn_r101_fpn_2x_coco.py'
model = dict(_delete_=True, student=_base_.model, teachers=dict(config=teacher, checkpoint=teacher), **_base_.method)
