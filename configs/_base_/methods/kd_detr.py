# KD-DETR: both decoders answer the same queries, the teacher's own (the specialized distillation points) and ones drawn
# anew in each step (the general ones), and the student is to answer as the teacher does: classes by their divergence,
# boxes by L1 and GIoU, each query weighed by the teacher's confidence. Weights and temperature are the authors'. For
# heads with sigmoids: Conditional, DAB, Deformable and DDQ-DETR, DINO.
method = dict(
    type='shake_mm.Distiller',
    connectors=dict(
        specialized=dict(type='TeacherQueries', source=['student.decoding', 'teacher0.decoding']),
        general=dict(type='RandomQueries', source=['student.decoding', 'teacher0.decoding'], number=300),
    ),
    terms=dict(
        task=dict(of='student'),
        specialized_cls=dict(
            of='connectors.specialized[0]',
            to='teacher0.logits',
            loss=dict(type='QueryKLLoss', tau=10.0),
        ),
        specialized_box=dict(
            of='connectors.specialized[1]',
            to='teacher0.boxes',
            reference='teacher0.logits',
            loss=dict(type='QueryBoxLoss', l1=5.0, giou=2.0),
        ),
        general_cls=dict(
            of='connectors.general[0]',
            to='connectors.general[2]',
            loss=dict(type='QueryKLLoss', tau=10.0),
        ),
        general_box=dict(
            of='connectors.general[1]',
            to='connectors.general[3]',
            reference='connectors.general[2]',
            loss=dict(type='QueryBoxLoss', l1=5.0, giou=2.0),
        ),
    ),
)
