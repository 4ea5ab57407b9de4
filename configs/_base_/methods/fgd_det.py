# FGD: on every level of the pyramid the teacher's features, weighed by its attention and by the sizes of objects, where
# it looks, and the relations between its places. Weights and temperature are the authors' for RetinaNet.
method = dict(
    type='shake_mm.Distiller',
    terms=dict(
        task=dict(of='student'),
        fgd=dict(
            of='student.f*',
            to='teacher*.f*',
            loss=dict(type='FGDLoss', tau=0.5, alpha=1e-3, beta=5e-4, gamma=1e-3, lam=5e-6),
        ),
    ),
)
