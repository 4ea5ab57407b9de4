# ESKD: distillation stops early, after a third of the epochs (80 of 240), and the student ends on its labels alone.
method = dict(
    type='shake_mm.KD',
    setting='paper',
    stages=dict(
        distill=dict(until=80),
        main=dict(terms=['task'], train=['student']),
    ),
)
