# AFD, adversarial feature distillation: two networks train from scratch and learn from each other, by their logits and
# by their last feature maps, which each is to make such that its discriminator takes them for the other's. A config
# leaves the teachers' checkpoints out, as DML's does.
method = dict(
    type='shake_mm.DML',
    tau=3.0,
    connectors=dict(
        student_maps=dict(type='MapTransfer', source='student.fm', out_channels=64),
        teacher_maps=dict(type='MapTransfer', source='teacher0.fm', out_channels=64),
    ),
    terms=dict(
        student_afd=dict(of='connectors.student_maps', to='connectors.teacher_maps', loss=dict(type='AdversarialLoss')),
        teacher_afd=dict(of='connectors.teacher_maps', to='connectors.student_maps', loss=dict(type='AdversarialLoss')),
    ),
)
