_base_ = ['../_base_/pairs/resnet14_shufflev2_digits100.py', '../_base_/methods/fitnets.py']
model = dict(_delete_=True, type='shake_mm.SHAKE', student=_base_.model, teachers=_base_.teachers, terms=_base_.terms)
