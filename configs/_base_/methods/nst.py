# NST: the distributions of the channels' activation patterns, compared by a kernel, in all stages.
method = dict(
    type='shake_mm.Distiller',
    terms=dict(
        task=dict(of='student'),
        nst=dict(of='student.f*', to='teacher*.f*', loss=dict(type='NSTLoss'), weight=50.0),
    ),
)

terms = method['terms']  # its former name
