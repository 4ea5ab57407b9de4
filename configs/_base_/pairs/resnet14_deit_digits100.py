# Student and its run: the baseline's. Teacher: the baseline of the larger net, trained with its own config.
_base_ = ['../../baseline/deit_digits100.py', '../distill.py']

# As a student with a proxy it answers by its class head, and the distillation token by its own.
student = dict(config=_base_.model, taps=dict(logits='head.layers.head'))
teachers = [
    dict(
        config='shake_mm::baseline/resnet14_digits100.py',
        checkpoint='work_dirs/resnet14_digits100/epoch_20.pth',
    ),
]
