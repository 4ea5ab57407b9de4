_base_ = ['../_base_/pairs/faster-rcnn-r101_faster-rcnn-r50_2x_coco.py', '../_base_/methods/review_det.py']
model = dict(
    _delete_=True, type='shake_mm.Distiller', student=_base_.model, teachers=_base_.teachers, terms=_base_.terms
)
