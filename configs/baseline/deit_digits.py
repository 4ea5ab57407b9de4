_base_ = [
    '../_base_/models/deit_digits.py',
    '../_base_/datasets/digits_bs64.py',
    '../_base_/schedules/digits_deit.py',
    '../_base_/default_runtime.py',
]
# Of a thousand images: smaller batches are more steps.
train_dataloader = dict(batch_size=32)
