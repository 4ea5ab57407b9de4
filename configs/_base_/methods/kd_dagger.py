# KD†, reversed distillation: the trained teacher is trained on, and learns from the student.
method = dict(type='shake_mm.DML', setting='paper')
