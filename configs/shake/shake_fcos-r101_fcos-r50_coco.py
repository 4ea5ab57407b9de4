_base_ = ['mmdet::fcos/fcos_r50-caffe_fpn_gn-head_1x_coco.py', '../_base_/distill.py', '../_base_/methods/shake.py']
teacher = 'mmdet::fcos/fcos_r101-caffe_fpn_gn-head_ms-640-800-2x_coco.py'
# The paper has no such detector: weighed as was measured to help its kind.
method = {**_base_.method, 'setting': None}
model = dict(_delete_=True, student=_base_.model, teachers=dict(config=teacher, checkpoint=teacher), **method)
