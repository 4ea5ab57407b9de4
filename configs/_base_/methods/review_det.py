# ReviewKD on detectors: every level of the teacher's pyramid from the student's of that level and all deeper ones. The
# weight is its authors' on COCO (ReviewKD-R50-R101.yaml and ReviewKD-RT50-RT101.yaml of their code), without a warm-up.
method = dict(
    type='shake_mm.Distiller',
    terms=dict(
        task=dict(of='student'),
        review=dict(
            of=['student.f*'],
            to=['teacher*.f*'],
            connector=dict(type='ReviewFusion'),
            loss=dict(type='HCLLoss'),
            weight=1.0,
        ),
    ),
)

terms = method['terms']  # its former name
