# ReviewKD: the teacher's features of each stage, before their activation, from the student's of that stage and all
# deeper ones. The weight is its authors' for most pairs of CIFAR-100.
method = dict(
    type='shake_mm.Distiller',
    terms=dict(
        task=dict(of='student'),
        review=dict(
            of=['student.f*', 'student.pool'],
            to=['teacher*.f*.preact', 'teacher*.pool'],
            connector=dict(type='ReviewFusion'),
            loss=dict(type='HCLLoss'),
            weight=5.0,
            warmup=20,
        ),
    ),
)

terms = method['terms']  # its former name
