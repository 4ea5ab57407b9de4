# PKD: the correlation of the student's and the teacher's features, on the four finest levels of the pyramid. The weight
# is that of mmrazor's config of Faster R-CNN.
method = dict(
    type='shake_mm.Distiller',
    terms=dict(
        task=dict(of='student'),
        pkd=dict(
            of=['student.f1', 'student.f2', 'student.f3', 'student.f4'],
            to=['teacher*.f1', 'teacher*.f2', 'teacher*.f3', 'teacher*.f4'],
            loss=dict(type='mmrazor.PKDLoss'),
            weight=6.0,
        ),
    ),
)

terms = method['terms']  # its former name
