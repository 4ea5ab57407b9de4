# KD of several teachers, weighed by their gradients, batch by batch (AEKD).
method = dict(type='shake_mm.KD', tau=4.0, weighting='aekd')
