# The teacher of the demonstration.
_base_ = '../crd/resnet14.py'
