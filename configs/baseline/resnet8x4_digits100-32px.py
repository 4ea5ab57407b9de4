_base_ = [
    '../_base_/models/crd/resnet8x4.py',
    '../_base_/datasets/digits100_32px_bs64.py',
    '../_base_/schedules/digits100.py',
    '../_base_/default_runtime.py',
]
