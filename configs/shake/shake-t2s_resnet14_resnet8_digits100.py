# The student learns from the teacher directly, too.
_base_ = '../_base_/pairs/resnet14_resnet8_digits100.py'
model = dict(
    _delete_=True,
    type='shake_mm.SHAKE',
    student=_base_.model,
    teachers=_base_.teachers,
    terms=dict(student_from_teacher=dict(of='student.logits', to='teacher*.logits', loss=dict(tau=4.0))),
)
