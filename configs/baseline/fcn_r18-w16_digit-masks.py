_base_ = [
    '../_base_/models/digit_masks/fcn_r18-w16.py',
    '../_base_/datasets/digit_masks.py',
    '../_base_/schedules/digit_masks.py',
    '../_base_/default_runtime_seg.py',
]
