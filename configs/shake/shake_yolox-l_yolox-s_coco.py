# The student's config has hooks of its own, so that ours are listed beside them.
_base_ = ['mmdet::yolox/yolox_s_8xb8-300e_coco.py', '../_base_/methods/shake.py']
teacher = 'mmdet::yolox/yolox_l_8xb8-300e_coco.py'
custom_hooks = [
    *_base_.custom_hooks,
    dict(type='shake_mm.StageHook'),
    dict(type='shake_mm.FiniteGuardHook'),
    dict(type='shake_mm.GradientShareHook'),
]
model = dict(_delete_=True, student=_base_.model, teachers=dict(config=teacher, checkpoint=teacher), **_base_.method)
