_base_ = ['../_base_/pairs/resnet14_shufflev2_digits100.py', '../_base_/methods/crd.py']
model = dict(
    _delete_=True,
    type='shake_mm.Distiller',
    student=_base_.model,
    teachers=_base_.teachers,
    terms=_base_.terms,
    num_samples=_base_.contrast.num_samples,
)
train_dataloader = dict(
    dataset=dict(
        _delete_=True,
        type='shake_mm.ContrastDataset',
        dataset=_base_.train_dataloader.dataset,
        negatives=_base_.contrast.negatives,
    )
)
