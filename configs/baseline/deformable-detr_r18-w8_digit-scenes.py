_base_ = [
    '../_base_/models/digit_scenes/deformable-detr_r18-w8.py',
    '../_base_/datasets/digit_scenes.py',
    '../_base_/schedules/digit_scenes.py',
    '../_base_/default_runtime_det.py',
]
# As DETRs are trained: a smaller step, and gradients cut off early.
optim_wrapper = dict(optimizer=dict(lr=5e-4, weight_decay=1e-4), clip_grad=dict(max_norm=0.1))
