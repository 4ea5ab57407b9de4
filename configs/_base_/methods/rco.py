# RCO: the student follows the teacher's route, checkpoint by checkpoint, for as many epochs each (the paper's equal
# intervals). A config lists the same network once for each of four checkpoints, of rising epochs.
method = dict(
    type='shake_mm.KD',
    setting='paper',
    weighting='sum',
    stages=dict(
        first=dict(until=60, terms=['task', 'student_from_teacher0']),
        second=dict(until=120, terms=['task', 'student_from_teacher1']),
        third=dict(until=180, terms=['task', 'student_from_teacher2']),
        last=dict(terms=['task', 'student_from_teacher3']),
    ),
)
