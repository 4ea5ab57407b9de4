# SP: samples that are similar to the teacher are to be similar to the student.
method = dict(
    type='shake_mm.Distiller',
    terms=dict(
        task=dict(of='student'),
        sp=dict(of='student.fm', to='teacher*.fm', loss=dict(type='SPLoss'), weight=3000.0),
    ),
)

terms = method['terms']  # its former name
