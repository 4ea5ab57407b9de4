# AT: the attention maps of all stages are to agree.
terms = dict(
    task=dict(of='student'),
    at=dict(of='student.f*', to='teacher*.f*', loss=dict(type='ATLoss'), weight=1000.0),
)
