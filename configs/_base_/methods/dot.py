# DOT, the distillation-oriented trainer: KD, whose gradients have a larger momentum than the task's. A config's
# optimizer says so: see the cells in `configs/dot`.
_base_ = './kd_crd.py'

method = dict(tau=4.0)
