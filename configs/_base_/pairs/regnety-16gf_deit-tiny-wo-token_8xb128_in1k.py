# DeiT-Tiny without a distillation token, by the recipe and from the teacher of the one that has it.
_base_ = ['mmpretrain::deit/deit-tiny_4xb256_in1k.py', '../distill.py']

model = dict(backbone=dict(drop_path_rate=0.1))
train_dataloader = dict(batch_size=128, sampler=dict(type='RepeatAugSampler'))
optim_wrapper = dict(clip_grad=None)
param_scheduler = [
    dict(type='LinearLR', start_factor=1e-3, by_epoch=True, end=5, convert_to_iter_based=True),
    dict(type='CosineAnnealingLR', eta_min=1e-5, by_epoch=True, begin=5),
]

# The teacher that DeiT's authors trained and distill from (82.9 %), in timm's implementation: `pip install timm`.
teachers = [
    dict(
        config=dict(
            type='TimmClassifier',
            _scope_='mmpretrain',
            model_name='regnety_160',
            data_preprocessor=_base_.data_preprocessor,
        ),
        checkpoint='https://dl.fbaipublicfiles.com/deit/regnety_160-a5fe301d.pth',
    ),
]
