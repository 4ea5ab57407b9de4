"""Networks of other libraries as models of mmengine."""

import pytest
import torch
from mmpretrain.structures import DataSample
from torch import nn

from shake_mm.errors import UsageError
from shake_mm.members import load_strictly
from shake_mm.models import PlainModel
from shake_mm.registry import MODELS

LINEAR = dict(type='torch.nn.Linear', in_features=4, out_features=3)
CE = dict(type='torch.nn.CrossEntropyLoss')


def plain(**options):
    return MODELS.build(dict(type='shake_mm.PlainModel', network=LINEAR, **options))


def test_its_loss_is_the_losss_of_tensors_and_of_samples():
    model = plain(loss=CE)
    inputs, labels = torch.randn(5, 4), torch.tensor([0, 1, 2, 1, 0])
    wanted = nn.functional.cross_entropy(inputs @ model.network.weight.T + model.network.bias, labels)
    samples = [DataSample().set_gt_label(int(label)) for label in labels]
    for targets in (labels, samples):
        torch.testing.assert_close(model(inputs, targets, mode='loss')['loss'], wanted)


def test_its_predictions_are_in_the_samples():
    model, inputs = plain(), torch.randn(2, 4)
    output, targets = model(inputs, torch.tensor([0, 1]), mode='predict')
    assert torch.equal(output, model(inputs)) and targets.tolist() == [0, 1]
    samples = model(inputs, [DataSample(), DataSample()], mode='predict')
    assert torch.equal(torch.stack([s.pred_score for s in samples]), output.softmax(1))
    assert [int(s.pred_label) for s in samples] == output.argmax(1).tolist()
    maps = PlainModel(nn.Conv2d(4, 3, 1))
    samples = maps(torch.randn(2, 4, 5, 5), [DataSample(), DataSample()], mode='predict')
    assert samples[1].prediction.shape == (3, 5, 5)


def test_one_of_several_outputs_counts():
    network = nn.LSTM(4, 3)
    assert PlainModel(network, output=0)(torch.randn(2, 5, 4)).shape == (2, 5, 3)


def test_weights_of_the_bare_network_load():
    bare, model = nn.Linear(4, 3), plain()
    load_strictly(model, bare.state_dict(), 'teacher0', 'bare.pth')
    assert torch.equal(model.network.weight, bare.weight)
    load_strictly(model, plain().state_dict(), 'teacher0', 'own.pth')
    with pytest.raises(UsageError, match='of another network'):
        load_strictly(model, nn.Linear(4, 2).state_dict(), 'teacher0', 'bare.pth')


def test_a_network_that_is_built_is_not_initialized_again():
    model = plain()
    before = model.network.weight.clone()
    model.init_weights()
    assert torch.equal(model.network.weight, before)


def test_a_function_of_a_library_makes_the_network():
    model = MODELS.build(
        dict(type='shake_mm.PlainModel', network=dict(type='torchvision.models.resnet18', num_classes=5))
    )
    assert model.eval()(torch.randn(1, 3, 32, 32)).shape == (1, 5)


def test_what_is_refused():
    with pytest.raises(UsageError, match='network is 5, which makes no nn.Module'):
        PlainModel(5)
    with pytest.raises(UsageError, match='loss is .*, which makes no nn.Module'):
        parameters = [torch.zeros(1, requires_grad=True)]
        PlainModel(nn.Linear(1, 1), loss=dict(type='torch.optim.SGD', params=parameters, lr=0.1))
    with pytest.raises(UsageError, match='it has none: give it `loss`'):
        plain()(torch.zeros(1, 4), torch.zeros(1), mode='loss')
