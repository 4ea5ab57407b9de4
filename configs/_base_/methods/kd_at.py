# KD beside attention transfer (ATKD in the main paper's Table 3, as it is read here).
_base_ = './at.py'

method = dict(
    terms=dict(
        student_from_teacher=dict(
            of='student.logits', to='teacher*.logits', loss=dict(type='KLDivLoss', tau=4.0), weighting='mean'
        ),
    ),
)

terms = method['terms']  # its former name
