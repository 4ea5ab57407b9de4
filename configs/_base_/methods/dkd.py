# DKD: the divergence split into that of the target class and that among the others, whose weight `beta` its authors
# chose by pair.
method = dict(
    type='shake_mm.Distiller',
    terms=dict(
        task=dict(of='student'),
        dkd=dict(of='student.logits', to='teacher*.logits', loss=dict(type='DKDLoss'), weight=1.0, warmup=20),
    ),
)

terms = method['terms']  # its former name
