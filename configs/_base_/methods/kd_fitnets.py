# KD beside FitNets, as in the main paper's Table 2.
_base_ = './fitnets.py'

method = dict(
    terms=dict(
        student_from_teacher=dict(
            of='student.logits', to='teacher*.logits', loss=dict(type='KLDivLoss', tau=4.0), weighting='mean'
        ),
    ),
)

terms = method['terms']  # its former name
