# KD, Eq. 1: the student learns from the labels and from the teachers' softened logits; of several teachers, from the
# mean (AVER).
method = dict(type='shake_mm.KD', setting='paper')
