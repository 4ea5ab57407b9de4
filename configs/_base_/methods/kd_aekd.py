# KD of several teachers, weighed by their gradients, batch by batch (AEKD).
method = dict(type='shake_mm.KD', setting='paper', weighting='aekd')
