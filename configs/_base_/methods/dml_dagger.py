# DML†: the teacher, which trains along, does not learn from the student.
_base_ = './dml.py'

method = dict(terms=dict(teacher_from_student=None))
