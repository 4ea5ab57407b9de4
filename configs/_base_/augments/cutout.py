# Cutout (DeVries and Taylor, 2017): one hole of 8x8 in every image, their size for CIFAR-100. It is filled with the
# mean of the data, so that it is zero once normalized. mmcv's hole is cut off at the right and lower border, as the
# paper's; at the left and upper one it is whole.
augment = [dict(type='Cutout', shape=8, pad_val=(129, 124, 112), prob=1.0)]
