# Cutout on images half as large: a hole of 4x4, in their mean.
augment = [dict(type='Cutout', shape=4, pad_val=(60, 60, 60), prob=1.0)]
