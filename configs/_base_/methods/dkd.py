# DKD: the divergence split into that of the target class and that among the others, whose weight `beta` its authors
# chose by pair.
terms = dict(
    task=dict(of='student'),
    dkd=dict(of='student.logits', to='teacher*.logits', loss=dict(type='DKDLoss'), weight=1.0, warmup=20),
)
