# AT: the attention maps of all stages are to agree.
method = dict(
    type='shake_mm.Distiller',
    terms=dict(
        task=dict(of='student'),
        at=dict(of='student.f*', to='teacher*.f*', loss=dict(type='ATLoss'), weight=1000.0),
    ),
)

terms = method['terms']  # its former name
