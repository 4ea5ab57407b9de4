# CrossKD: the student's features before the last convolution of both towers go on in the teacher's head, and what it
# predicts of them is to equal what it predicts of its own: classes by the quality focal loss, boxes by the GIoU, each
# where the teacher sees something. Weights are the authors' for RetinaNet.
method = dict(
    type='shake_mm.Distiller',
    connectors=dict(
        cross=dict(
            type='CrossHead',
            source=['student.cls_tower', 'student.reg_tower', 'teacher0.cls_tower', 'teacher0.reg_tower'],
        ),
    ),
    terms=dict(
        task=dict(of='student'),
        cross_cls=dict(
            of='connectors.cross[0]',
            to='teacher0.logits',
            loss=dict(type='SoftQualityFocalLoss', beta=1.0),
        ),
        cross_box=dict(
            of='connectors.cross[1]',
            to='teacher0.boxes',
            reference='teacher0.logits',
            loss=dict(type='DenseBoxLoss', kind='giou'),
        ),
    ),
)
