# DropBlock in the student's last two stages.
_base_ = ['./shake_resnet14_resnet8_digits100.py', '../_base_/augments/dropblock_digits.py']
custom_hooks = [*_base_.custom_hooks, _base_.drop_block]
