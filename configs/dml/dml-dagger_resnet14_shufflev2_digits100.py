# DML†: the teacher, which trains along, does not learn from the student.
_base_ = '../_base_/pairs/resnet14_shufflev2_digits100.py'
peers = [dict(config=teacher['config']) for teacher in _base_.teachers]
model = dict(
    _delete_=True, type='shake_mm.DML', student=_base_.model, teachers=peers, terms=dict(teacher_from_student=None)
)
