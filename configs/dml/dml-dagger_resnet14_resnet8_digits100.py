# DML†: the teacher does not learn from the student.
_base_ = './dml_resnet14_resnet8_digits100.py'
model = dict(terms=dict(teacher_from_student=None))
