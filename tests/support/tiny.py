"""Tiny distillations of the packaged configs, as a user would write them: a few images, one epoch."""

CLASSIFIERS = """
_base_ = 'shake_mm::dml/dml_resnet14_resnet8_digits100.py'
train_cfg = dict(max_epochs=1)
train_dataloader = dict(batch_size=16, dataset=dict(num_samples=32))
val_dataloader = dict(dataset=dict(num_samples=16))
test_dataloader = dict(dataset=dict(num_samples=16))
"""
DETECTORS = """
_base_ = ['shake_mm::baseline/retinanet_r18-w8_digit-scenes.py', 'shake_mm::_base_/distill.py']
model = dict(
    _delete_=True,
    type='shake_mm.DML',
    student=_base_.model,
    teachers=dict(config='shake_mm::baseline/retinanet_r18-w8_digit-scenes.py', trainable=True),
)
train_cfg = dict(max_epochs=1)
train_dataloader = dict(batch_size=4, dataset=dict(num_images=8))
val_dataloader = dict(batch_size=4, dataset=dict(num_images=4))
test_dataloader = dict(batch_size=4, dataset=dict(num_images=4))
"""
