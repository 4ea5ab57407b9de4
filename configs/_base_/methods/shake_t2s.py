# The student learns from the teacher directly, too.
_base_ = './shake.py'

method = dict(terms=dict(student_from_teacher=dict(of='student.logits', to='teacher*.logits', loss=dict(tau=4.0))))
