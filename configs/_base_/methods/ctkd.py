# CTKD: KD, whose temperature is learned against the student, over ten epochs ever more so.
method = dict(type='shake_mm.KD', alpha=0.1, lam=0.9, terms=dict(student_from_teacher=dict(loss=dict(type='CTKDLoss'))))
