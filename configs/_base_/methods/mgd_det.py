# MGD: the teacher's features of each level, generated from what a random mask leaves of the student's. Mask and weight
# are those of mmrazor's config of RetinaNet, which also starts the student's neck and head from the teacher's; here
# they start as always.
method = dict(
    type='shake_mm.Distiller',
    terms=dict(
        task=dict(of='student'),
        mgd=dict(
            of='student.f*',
            to='teacher*.f*',
            connector=dict(type='mmrazor.MGDConnector', student_channels=256, teacher_channels=256, lambda_mgd=0.65),
            loss=dict(type='mmrazor.MGDLoss', alpha_mgd=2e-5),
        ),
    ),
)

terms = method['terms']  # its former name
