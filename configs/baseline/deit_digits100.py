_base_ = [
    '../_base_/models/deit_digits.py',
    '../_base_/datasets/digits100_bs64.py',
    '../_base_/schedules/digits100_deit.py',
    '../_base_/default_runtime.py',
]
