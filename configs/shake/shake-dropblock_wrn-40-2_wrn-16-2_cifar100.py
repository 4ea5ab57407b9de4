# DropBlock in the student's last two stages.
_base_ = ['./shake_wrn-40-2_wrn-16-2_cifar100.py', '../_base_/augments/dropblock.py']
custom_hooks = [*_base_.custom_hooks, _base_.drop_block]
