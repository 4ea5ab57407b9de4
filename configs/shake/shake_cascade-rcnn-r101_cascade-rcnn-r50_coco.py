_base_ = ['mmdet::cascade_rcnn/cascade-rcnn_r50_fpn_1x_coco.py', '../_base_/distill.py', '../_base_/methods/shake.py']
teacher = 'mmdet::cascade_rcnn/cascade-rcnn_r101_fpn_20e_coco.py'
# The paper has no such detector: weighed as was measured to help its kind.
method = {**_base_.method, 'setting': None}
model = dict(_delete_=True, student=_base_.model, teachers=dict(config=teacher, checkpoint=teacher), **method)
