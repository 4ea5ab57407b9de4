# Soft distillation, as DeiT's paper compares with it: 0.9 CE + 0.1 KL at a temperature of 3.
method = dict(type='shake_mm.KD', alpha=0.9, lam=0.1, tau=3.0)
