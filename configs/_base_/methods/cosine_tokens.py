# Patch tokens of a vision transformer (DINOv2, CLIP, timm's) as a map, and the student's last level, brought to their
# channels and resolution by a 1x1 convolution, along with them. No labels: the student's head does not train.
method = dict(
    type='shake_mm.Distiller',
    terms=dict(
        cosine=dict(
            of='student.fm',
            to='teacher*.network.norm',
            connector=dict(type='ProjectMap'),
            to_connector=dict(type='TokenMap'),
            loss=dict(type='CosineLoss'),
        ),
    ),
    stages=dict(main=dict(train=['student.backbone', 'terms'])),
)
