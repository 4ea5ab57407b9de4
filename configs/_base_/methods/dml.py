# DML: the teacher's network trains along from scratch. A config leaves the teachers' checkpoints out:
# `teachers=[dict(config=teacher.config) for teacher in _base_.teachers]`.
method = dict(type='shake_mm.DML', setting='paper')
