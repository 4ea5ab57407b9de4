# DropBlock in the student's last two stages.
_base_ = ['./shake_resnet110_resnet32_cifar100.py', '../_base_/augments/dropblock.py']
custom_hooks = [*_base_.custom_hooks, _base_.drop_block]
