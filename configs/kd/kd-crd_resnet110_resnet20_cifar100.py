# KD with the CRD benchmark's weights, as in Table 4: 0.1 CE + 0.9 KL.
_base_ = './kd_resnet110_resnet20_cifar100.py'
model = dict(alpha=0.1, lam=0.9)
