_base_ = [
    '../_base_/models/digit_scenes/fcos_r18-w8.py',
    '../_base_/datasets/digit_scenes.py',
    '../_base_/schedules/digit_scenes.py',
    '../_base_/default_runtime_det.py',
]
