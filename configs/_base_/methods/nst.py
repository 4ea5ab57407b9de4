# NST: the distributions of the channels' activation patterns, compared by a kernel, in all stages.
terms = dict(
    task=dict(of='student'),
    nst=dict(of='student.f*', to='teacher*.f*', loss=dict(type='NSTLoss'), weight=50.0),
)
