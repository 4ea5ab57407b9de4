"""Tiny segmentors of mmsegmentation, and a batch for them, that tests of segmentation share."""

import copy

import torch
from mmengine.config import ConfigDict
from mmengine.structures import PixelData

CLASSES = 5
_NORM = dict(type='BN', requires_grad=True)
_CE = dict(type='CrossEntropyLoss', use_sigmoid=False, loss_weight=1.0)
HEADS = {
    'fcn': dict(type='FCNHead', num_convs=1, concat_input=False),
    'psp': dict(type='PSPHead', pool_scales=(1, 2)),
    'aspp': dict(type='ASPPHead', dilations=(1, 2)),
    'da': dict(type='DAHead', pam_channels=4),
    'enc': dict(type='EncHead', num_codes=4, use_se_loss=True, in_index=[1, 2]),
    'segmenter': dict(type='SegmenterMaskTransformerHead', embed_dims=8, num_heads=2, num_layers=1),
}


def segmentor(kind='fcn', width=4, stride=4, classes=CLASSES, aux=False, mode='whole', **head):
    """Config of a segmentor of three stages; of ``stride`` 4 or 8."""
    channels = 4 * width
    own = dict(
        in_channels=channels,
        in_index=2,
        channels=8,
        num_classes=classes,
        dropout_ratio=0.1,
        norm_cfg=_NORM,
        loss_decode=_CE,
    )
    own = {**own, **HEADS.get(kind, HEADS['fcn']), **head}
    if kind == 'enc':
        own['in_channels'] = [2 * width, channels]
    if kind == 'segmenter':
        own.pop('norm_cfg')
        own.update(in_channels=channels, channels=8)
    model = dict(
        type='EncoderDecoder',
        data_preprocessor=dict(
            type='SegDataPreProcessor', mean=[120.0, 110, 100], std=[50.0, 60, 70], bgr_to_rgb=True, size=(64, 64)
        ),
        backbone=dict(
            type='ResNet',
            depth=18,
            stem_channels=width,
            base_channels=width,
            num_stages=3,
            strides=(1, stride // 4, 1),
            dilations=(1, 1, 1),
            out_indices=(0, 1, 2),
            norm_cfg=_NORM,
        ),
        decode_head=own,
        test_cfg=dict(mode=mode) if mode == 'whole' else dict(mode='slide', crop_size=(48, 48), stride=(16, 16)),
    )
    if kind == 'ocr':
        heads = [own, {**own, 'type': 'OCRHead', 'ocr_channels': 4}]
        heads[1].pop('num_convs'), heads[1].pop('concat_input')
        model.update(type='CascadeEncoderDecoder', num_stages=2, decode_head=heads)
    if aux:
        model['auxiliary_head'] = {**own, 'in_index': 1, 'in_channels': 2 * width}
    return ConfigDict(copy.deepcopy(dict(_scope_='mmseg', **model)))


def pictures(n=2, size=64, ignored=True, even=False):
    """What a data loader gives: images of two sizes, or one, with labels, some of them ignored."""
    from mmseg.structures import SegDataSample

    generator = torch.Generator().manual_seed(5)
    inputs, samples = [], []
    for i in range(n):
        shape = (size, size) if even or i % 2 == 0 else (3 * size // 4, size)
        inputs.append(torch.randint(256, (3, *shape), generator=generator, dtype=torch.uint8))
        labels = torch.randint(CLASSES, (1, *shape), generator=generator)
        if ignored:
            labels[:, :10] = 255
        sample = SegDataSample(
            metainfo=dict(img_shape=shape, ori_shape=shape, pad_shape=shape, scale_factor=(1.0, 1.0))
        )
        sample.gt_sem_seg = PixelData(data=labels)
        samples.append(sample)
    return dict(inputs=inputs, data_samples=samples)
