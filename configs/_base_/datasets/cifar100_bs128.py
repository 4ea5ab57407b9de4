# CIFAR-100 as OKDDip prepares it: pad 4, crop 32, flip; batches of 128.
_base_ = './cifar100_bs64.py'

# The constants of its code, (0.5071, 0.4865, 0.4409) and (0.2673, 0.2564, 0.2762) of 255; the CRD benchmark's differ a
# little.
data_preprocessor = dict(mean=[129.3105, 124.0575, 112.4295], std=[68.1615, 65.382, 70.431])

train_dataloader = dict(batch_size=128)
val_dataloader = dict(batch_size=128)
test_dataloader = val_dataloader
