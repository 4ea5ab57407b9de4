# KD with the CRD benchmark's weights, as in Table 4: 0.1 CE + 0.9 KL.
method = dict(type='shake_mm.KD', setting='paper', alpha=0.1, lam=0.9)
