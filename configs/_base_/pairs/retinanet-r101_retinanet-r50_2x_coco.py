# Student, data and schedule (24 epochs, flips, an ImageNet backbone, as the paper): mmdet's. Teacher: the entry of
# mmdet's zoo nearest to the paper's RetinaNet R101 of 40.40 AP, which is 40.7, 0.3 more. (The 2x entry is 38.9.)
_base_ = ['mmdet::retinanet/retinanet_r50_fpn_2x_coco.py', '../distill.py']

teachers = [
    dict(
        config='mmdet::retinanet/retinanet_r101-caffe_fpn_ms-3x_coco.py',
        checkpoint='mmdet::retinanet/retinanet_r101-caffe_fpn_ms-3x_coco.py',
    ),
]
