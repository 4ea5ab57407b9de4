# Two teachers, each with a shadow head of its own (Eq. 6). The second is the same net from another seed:
# tools/train.py configs/baseline/resnet14_digits100.py --work-dir work_dirs/resnet14_digits100_seed1 \
#     --cfg-options randomness.seed=1
_base_ = './shake_resnet14_resnet8_digits100.py'
model = dict(
    teachers=[
        *_base_.teachers,
        dict(
            config='shake_mm::baseline/resnet14_digits100.py',
            checkpoint='work_dirs/resnet14_digits100_seed1/epoch_20.pth',
        ),
    ]
)
