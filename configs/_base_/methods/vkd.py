# VkD: the student's features, through a projection that keeps angles, are to equal the teacher's normalized ones. As
# there, beside KD at a temperature of 1.
method = dict(
    type='shake_mm.KD',
    tau=1.0,
    terms=dict(
        vkd=dict(
            of='student.pool',
            to='teacher*.pool',
            connector=dict(type='OrthogonalProjection'),
            to_connector=dict(type='LogitNorm', scale=1.0, eps=1e-5),
            loss=dict(type='torch.nn.SmoothL1Loss'),
        ),
    ),
)
