# CWD on the logits of segmentors: in each class, the student's softmax over pixels is to equal the teacher's. Weight
# and temperature are those of mmrazor's config; the paper's are 3 and 4. Where the strides differ, the student's logits
# are brought to the teacher's.
method = dict(
    type='shake_mm.Distiller',
    terms=dict(
        task=dict(of='student'),
        cwd=dict(
            of='student.logits',
            to='teacher*.logits',
            connector=dict(type='ResizeMap'),
            loss=dict(type='mmrazor.ChannelWiseDivergence', tau=1.0),
            weight=5.0,
        ),
    ),
)
