# CWD: in each channel of each level of the pyramid, the student's softmax over places is to equal the teacher's. Weight
# and temperature are those of mmrazor's configs.
method = dict(
    type='shake_mm.Distiller',
    terms=dict(
        task=dict(of='student'),
        cwd=dict(
            of='student.f*',
            to='teacher*.f*',
            loss=dict(type='mmrazor.ChannelWiseDivergence', tau=1.0),
            weight=10.0,
        ),
    ),
)

terms = method['terms']  # its former name
