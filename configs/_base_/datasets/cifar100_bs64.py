# CIFAR-100 as the CRD benchmark prepares it: pad 4, crop 32, flip; batches of 64.
_base_ = 'mmpretrain::_base_/datasets/cifar100_bs16.py'

# The benchmark's own constants, (0.5071, 0.4867, 0.4408) and (0.2675, 0.2565, 0.2761) of 255: its checkpoints were
# trained with them, and they differ a little from mmpretrain's.
data_preprocessor = dict(mean=[129.3105, 124.1085, 112.404], std=[68.2125, 65.4075, 70.4055])

# Nothing is downloaded that is not asked for: `--cfg-options train_dataloader.dataset.download=True` once, or put the
# files of CIFAR-100 into data/cifar100.
train_dataloader = dict(
    batch_size=64,
    persistent_workers=True,
    collate_fn=dict(type='default_collate'),
    dataset=dict(download=False),
)
val_dataloader = dict(
    batch_size=64,
    persistent_workers=True,
    collate_fn=dict(type='default_collate'),
    dataset=dict(download=False),
)
test_dataloader = val_dataloader

# For methods that remember every sample (CRD): size of the training set, and how many others each is told from.
contrast = dict(num_samples=50000, negatives=16384)
