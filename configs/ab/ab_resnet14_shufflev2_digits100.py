_base_ = ['../_base_/pairs/resnet14_shufflev2_digits100.py', '../_base_/methods/ab.py']
model = dict(
    _delete_=True,
    type='shake_mm.Distiller',
    student=_base_.model,
    teachers=_base_.teachers,
    terms=_base_.terms,
    stages=[
        dict(
            until=_base_.with_init.until,
            terms=['ab'],
            train=[
                'student.backbone.conv1',
                'student.backbone.bn1',
                'student.backbone.layer1',
                'student.backbone.layer2',
                'student.backbone.layer3',
                'terms',
            ],
        ),
        dict(terms=['task'], train=['student'], reset_optimizer=True),
    ],
)
train_cfg = _base_.with_init.train_cfg
param_scheduler = _base_.with_init.param_scheduler
