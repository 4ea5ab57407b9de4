_base_ = ['../_base_/pairs/retinanet-r101_retinanet-r50_2x_coco.py', '../_base_/methods/shake_sparse.py']
model = dict(_delete_=True, student=_base_.model, teachers=_base_.teachers, **_base_.method)
