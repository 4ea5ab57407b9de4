_base_ = [
    '../_base_/models/digit_scenes/rtmdet_cspnext-w32.py',
    '../_base_/datasets/digit_scenes.py',
    '../_base_/schedules/digit_scenes.py',
    '../_base_/default_runtime_det.py',
]
