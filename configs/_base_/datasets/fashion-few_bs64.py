# 5,000 pictures of Fashion-MNIST to train on, 500 of each class; half of the held-back ones validate.
_base_ = './fashion_bs64.py'

train_dataloader = dict(dataset=dict(num_samples=5000))
val_dataloader = dict(dataset=dict(num_samples=5000))

contrast = dict(num_samples=5000, negatives=1024)
