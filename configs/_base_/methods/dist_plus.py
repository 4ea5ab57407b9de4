# DIST+: DIST, whose teacher adapts: its classifier trains on, from the labels and by DIST towards the student (KD†, of
# which only the head is trained).
_base_ = './kd_dagger_head.py'

method = dict(
    lam=1.0,
    divergence=dict(type='mmrazor.DISTLoss', inter_loss_weight=2.0, intra_loss_weight=2.0, tau=4.0),
)
