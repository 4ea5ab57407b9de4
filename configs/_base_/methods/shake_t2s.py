# The student learns from the teacher directly, too; from the mean of several, as in KD.
_base_ = './shake.py'

method = dict(
    terms=dict(
        student_from_teacher=dict(of='student.logits', to='teacher*.logits', weighting='mean', loss=dict(tau=4.0)),
    ),
)
