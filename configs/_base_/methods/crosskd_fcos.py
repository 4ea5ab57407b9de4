# CrossKD on FCOS: behind the second of four convolutions, boxes by the logarithm of the IoU, the authors' weights.
_base_ = './crosskd.py'

method = dict(
    connectors=dict(
        cross=dict(
            source=['student.cls_tower2', 'student.reg_tower2', 'teacher0.cls_tower2', 'teacher0.reg_tower2'],
        ),
    ),
    terms=dict(
        cross_cls=dict(weight=0.4),
        cross_box=dict(loss=dict(kind='iou'), weight=0.75),
    ),
)
