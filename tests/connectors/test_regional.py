"""RegionalLogits: each region by the network's classifier, whose weights it uses and does not own."""

import copy

import pytest
import torch
from mmengine.config import Config

from shake_mm.connectors import RegionalLogits
from shake_mm.errors import UsageError
from shake_mm.registry import MODELS


def test_every_region_is_the_mean_of_its_places():
    classifier = torch.nn.Linear(3, 5).double()
    x = torch.randn(2, 3, 8, 4, dtype=torch.float64)
    y = RegionalLogits(classifier)(x)
    assert y.shape == (2, 21, 5)
    regions = [x.mean((2, 3))]
    for m in (2, 4):
        h, w = 8 // m, 4 // m
        regions += [x[:, :, i * h : (i + 1) * h, j * w : (j + 1) * w].mean((2, 3)) for i in range(m) for j in range(m)]
    for r, region in enumerate(regions):
        torch.testing.assert_close(y[:, r], region @ classifier.weight.T + classifier.bias)
    with pytest.raises(UsageError, match='must begin with 1'):
        RegionalLogits(classifier, scales=(2, 4))


def test_the_distiller_fills_in_each_networks_own(make_classifier, trained, batch):
    entry = make_classifier(8)
    method = Config.fromfile('configs/_base_/methods/sdd.py').method.to_dict()
    teachers = dict(config=entry, checkpoint=trained(entry))
    model = MODELS.build(dict(method, student=make_classifier(6), teachers=teachers)).double().train()
    assert not any('classifier' in key or key.startswith('terms') for key in model.state_dict())
    inputs, samples = batch(dtype=torch.float64, size=32)
    for distiller in (model, copy.deepcopy(model)):
        losses = distiller(inputs, copy.deepcopy(samples), mode='loss')
        head, fixed = distiller.student.head.fc, distiller.members.frozen['teacher0'].network.head.fc
        heads, maps = (head, fixed), []
        for network in (distiller.student, distiller.members.frozen['teacher0'].network):
            maps.append(network.backbone(inputs)[-1])
        regions = [RegionalLogits(fc)(x) for fc, x in zip(heads, maps)]
        wanted = 0.0
        for r in range(21):
            s, t = (side[:, r] for side in regions)
            p = (t / 4).softmax(1)
            weight = torch.where(t.argmax(1) == regions[1][:, 0].argmax(1), 1.0, 2.0)
            wanted = wanted + 16 * (weight * (p * (p.log() - (s / 4).log_softmax(1))).sum(1)).mean()
        torch.testing.assert_close(losses['loss_sdd'], wanted, rtol=1e-9, atol=1e-12)
        found, expected = (
            torch.autograd.grad(x, [head.weight, distiller.student.backbone.conv1.weight], retain_graph=True)
            for x in (losses['loss_sdd'], wanted)
        )
        for a, b in zip(found, expected):
            torch.testing.assert_close(a, b, rtol=1e-7, atol=1e-12)
        assert fixed.weight.grad is None
