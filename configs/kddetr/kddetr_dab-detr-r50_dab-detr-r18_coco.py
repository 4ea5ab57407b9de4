# The student is the teacher's config on ResNet-18.
_base_ = ['mmdet::dab_detr/dab-detr_r50_8xb2-50e_coco.py', '../_base_/distill.py', '../_base_/methods/kd_detr.py']
teacher = 'mmdet::dab_detr/dab-detr_r50_8xb2-50e_coco.py'
student = _base_.model
student.backbone.update(depth=18, init_cfg=dict(type='Pretrained', checkpoint='torchvision://resnet18'))
student.neck.update(in_channels=[512])
model = dict(_delete_=True, student=student, teachers=dict(config=teacher, checkpoint=teacher), **_base_.method)
