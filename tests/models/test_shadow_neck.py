"""The layers of a stronger shadow head."""

import torch
from torch.nn import functional as F

from shake_mm.models import ShadowNeck
from shake_mm.registry import MODELS


def test_value():
    neck = ShadowNeck(5, num_convs=2).double()
    maps = (torch.zeros(2, 3, 8, 8), torch.randn(2, 5, 4, 3, dtype=torch.float64))
    x = maps[-1]
    for layer in neck.convs:
        x = F.conv2d(x, layer.conv.weight, padding=1)
        x = F.relu(F.batch_norm(x, None, None, layer.bn.weight, layer.bn.bias, training=True))
    torch.testing.assert_close(neck(maps)[0], x.mean(dim=(2, 3)))


def test_a_shadow_finds_its_channels(make_classifier, trained, batch):
    teacher = make_classifier(8)
    model = MODELS.build(
        dict(
            type='shake_mm.SHAKE',
            student=make_classifier(6),
            teachers=dict(config=teacher, checkpoint=trained(teacher)),
            proxies=dict(type='ShadowHead', source='student.backbone', neck=dict(type='ShadowNeck')),
        )
    )
    model.init_weights()
    model(*batch(), mode='loss')['loss_proxy_from_teacher'].backward()
    assert [m.conv.in_channels for m in model.proxies['proxy0'].neck.convs] == [6, 6]
    assert all(parameter.grad.abs().sum() > 0 for parameter in model.proxies.parameters())
