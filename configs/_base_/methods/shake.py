# SHAKE: a shadow head mimics the teacher and distills mutually with the student. Several teachers have one each (Eq.
# 6), and the student learns from the mean of them (AVER).
method = dict(type='shake_mm.SHAKE', setting='paper')
