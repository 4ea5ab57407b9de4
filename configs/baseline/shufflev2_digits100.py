_base_ = [
    '../_base_/models/digits/shufflev2_tiny.py',
    '../_base_/datasets/digits100_bs64.py',
    '../_base_/schedules/digits100.py',
    '../_base_/default_runtime.py',
]
