# DETRDistill: the teacher's predictions are matched with the student's, layer by layer, as pseudo objects; features are
# compared where the teacher's good queries look; and the student's decoder learns to detect by the teacher's
# queries, as the teacher assigns them to objects. For heads with sigmoids: Conditional, DAB, Deformable and DDQ-DETR,
# DINO.
method = dict(
    type='shake_mm.Distiller',
    connectors=dict(
        prior=dict(type='TeacherQueries', source=['student.decoding', 'teacher0.decoding']),
    ),
    terms=dict(
        task=dict(of='student'),
        matched=dict(
            of=['student.logits', 'student.boxes'],
            to=['teacher0.logits', 'teacher0.boxes'],
            loss=dict(type='MatchedQueryLoss'),
        ),
        assigned=dict(
            of=['connectors.prior[0]', 'connectors.prior[1]'],
            to=['teacher0.logits', 'teacher0.boxes'],
            loss=dict(type='AssignedQueryLoss'),
        ),
        aware=dict(
            of=['student.f*'],
            to=['teacher0.f*', 'teacher0.states', 'teacher0.logits', 'teacher0.boxes'],
            loss=dict(type='TargetAwareLoss'),
        ),
    ),
)
