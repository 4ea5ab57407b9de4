# DML†: the teacher does not learn from the student.
_base_ = './dml_resnet110_resnet20_cifar100.py'
model = dict(terms=dict(teacher_from_student=None))
