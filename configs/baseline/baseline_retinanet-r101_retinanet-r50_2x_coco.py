# The student alone, run by the same engine.
_base_ = '../_base_/pairs/retinanet-r101_retinanet-r50_2x_coco.py'
model = dict(_delete_=True, type='shake_mm.Baseline', student=_base_.model)
