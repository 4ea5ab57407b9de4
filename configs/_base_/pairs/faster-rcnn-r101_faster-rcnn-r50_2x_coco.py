# Student, data and schedule (24 epochs, flips, an ImageNet backbone, as the paper): mmdet's. Teacher: the entry of
# mmdet's zoo nearest to the paper's Faster R-CNN R101 of 42.04 AP, which is 42.0. (The 2x entry is 39.8.)
_base_ = ['mmdet::faster_rcnn/faster-rcnn_r50_fpn_2x_coco.py', '../distill.py']

teachers = [
    dict(
        config='mmdet::faster_rcnn/faster-rcnn_r101-caffe_fpn_ms-3x_coco.py',
        checkpoint='mmdet::faster_rcnn/faster-rcnn_r101-caffe_fpn_ms-3x_coco.py',
    ),
]
