# MGD on two-stage detectors: mask, weight and the four levels are its authors' (mmrazor has no config of one).
method = dict(
    type='shake_mm.Distiller',
    terms=dict(
        task=dict(of='student'),
        **{
            f'mgd_f{i}': dict(
                of=f'student.f{i}',
                to=f'teacher*.f{i}',
                connector=dict(
                    type='mmrazor.MGDConnector', student_channels=256, teacher_channels=256, lambda_mgd=0.45
                ),
                loss=dict(type='mmrazor.MGDLoss', alpha_mgd=5e-7),
            )
            for i in range(1, 5)
        },
    ),
)

terms = method['terms']  # its former name
