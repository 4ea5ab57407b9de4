# The authors' weights for two-stage detectors.
_base_ = './fgd_det.py'

method = dict(terms=dict(fgd=dict(loss=dict(alpha=5e-5, beta=2.5e-5, gamma=5e-5, lam=5e-7))))
