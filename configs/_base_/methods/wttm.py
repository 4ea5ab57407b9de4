# WTTM: the temperature is the teacher's alone, and samples on which it is unsure count more. Exponent and weight are
# those of its authors' example; they choose both by pair.
method = dict(
    type='shake_mm.Distiller',
    terms=dict(
        task=dict(of='student'),
        wttm=dict(of='student.logits', to='teacher*.logits', loss=dict(type='WTTMLoss', gamma=0.2), weight=4.0),
    ),
)
