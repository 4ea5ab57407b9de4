_base_ = [
    '../_base_/models/digits/resnet8_half.py',
    '../_base_/datasets/digits_bs64.py',
    '../_base_/schedules/digits100.py',
    '../_base_/default_runtime.py',
]
model = dict(head=dict(num_classes=10))
