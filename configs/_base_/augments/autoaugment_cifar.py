# AutoAugment's policy for CIFAR (Cubuk et al., 2019, Table 7): of these pairs every image draws one, and of its two
# operations applies each with its probability. Levels are tenths of the ranges of the paper's Table 6, read as the
# authors' code for CIFAR does: shears, translations and rotations take either sign; the enhancements, contrast to
# sharpness, blend by a factor of 0.1 to 1.9 without one. (That code posterizes to 4 bits and less where the paper says
# 4 to 8; here the paper holds.) What moves into the image has the mean of the data. mmcv takes images for BGR where
# CIFAR's are RGB: its gray weighs red and blue the other way round.
fill = (129, 124, 112)
policy = (
    (('Invert', 0.1, 7), ('Contrast', 0.2, 6)),
    (('Rotate', 0.7, 2), ('TranslateX', 0.3, 9)),
    (('Sharpness', 0.8, 1), ('Sharpness', 0.9, 3)),
    (('ShearY', 0.5, 8), ('TranslateY', 0.7, 9)),
    (('AutoContrast', 0.5, 8), ('Equalize', 0.9, 2)),
    (('ShearY', 0.2, 7), ('Posterize', 0.3, 7)),
    (('Color', 0.4, 3), ('Brightness', 0.6, 7)),
    (('Sharpness', 0.3, 9), ('Brightness', 0.7, 9)),
    (('Equalize', 0.6, 5), ('Equalize', 0.5, 1)),
    (('Contrast', 0.6, 7), ('Sharpness', 0.6, 5)),
    (('Color', 0.7, 7), ('TranslateX', 0.5, 8)),
    (('Equalize', 0.3, 7), ('AutoContrast', 0.4, 8)),
    (('TranslateY', 0.4, 3), ('Sharpness', 0.2, 6)),
    (('Brightness', 0.9, 6), ('Color', 0.2, 8)),
    (('Solarize', 0.5, 2), ('Invert', 0.0, 3)),
    (('Equalize', 0.2, 0), ('AutoContrast', 0.6, 0)),
    (('Equalize', 0.2, 8), ('Equalize', 0.6, 4)),
    (('Color', 0.9, 9), ('Equalize', 0.6, 6)),
    (('AutoContrast', 0.8, 4), ('Solarize', 0.2, 8)),
    (('Brightness', 0.1, 3), ('Color', 0.7, 0)),
    (('Solarize', 0.4, 5), ('AutoContrast', 0.9, 3)),
    (('TranslateY', 0.9, 9), ('TranslateY', 0.7, 9)),
    (('AutoContrast', 0.9, 2), ('Solarize', 0.8, 3)),
    (('Equalize', 0.8, 8), ('Invert', 0.1, 3)),
    (('TranslateY', 0.7, 9), ('AutoContrast', 0.9, 1)),
)


def operation(name, prob, level):
    # The range of each operation at levels 0 to 10. mmpretrain adds 1 to the magnitude of an enhancement; translations
    # are shares of the image, of whose 32 pixels they move up to 10. The other three have no magnitude.
    x = level / 10
    blend = dict(magnitude=0.1 + 1.8 * x - 1, random_negative_prob=0.0)
    shear = dict(type='Shear', magnitude=0.3 * x, interpolation='nearest', pad_val=fill)
    translate = dict(type='Translate', magnitude=10 / 32 * x, pad_val=fill)
    return {
        'ShearX': dict(shear, direction='horizontal'),  # -0.3 to 0.3
        'ShearY': dict(shear, direction='vertical'),
        'TranslateX': dict(translate, direction='horizontal'),  # -10 to 10 pixels of 32
        'TranslateY': dict(translate, direction='vertical'),
        'Rotate': dict(type='Rotate', angle=30.0 * x, pad_val=fill),  # -30 to 30 degrees
        'Solarize': dict(type='Solarize', thr=256 - int(256 * x)),  # from 256, no change, to 0, all inverted
        'Posterize': dict(type='Posterize', bits=8 - int(4 * x)),  # from 8 bits, no change, to 4
        'Contrast': dict(type='Contrast', **blend),  # 0.1 to 1.9
        'Color': dict(type='ColorTransform', **blend),
        'Brightness': dict(type='Brightness', **blend),
        'Sharpness': dict(type='Sharpness', **blend),
        'AutoContrast': dict(type='AutoContrast'),
        'Equalize': dict(type='Equalize'),
        'Invert': dict(type='Invert'),
    }[name] | dict(prob=prob)


augment = [dict(type='AutoAugment', policies=[[operation(*step) for step in pair] for pair in policy])]
