"""The branch: the student's last layers once more, in every family of networks."""

import copy

import pytest
import torch
from mmengine.config import Config
from mmengine.registry import DefaultScope

from shake_mm.errors import UsageError
from shake_mm.proxies import ShadowBranch
from shake_mm.registry import MODELS

NAMES = ('resnet8x4', 'resnet20', 'wrn-16-2', 'vgg8', 'mobilenetv2', 'shufflev1', 'shufflev2', 'mmpretrain')


def network_of(name):
    if name != 'mmpretrain':
        return Config.fromfile(f'configs/baseline/{name}_cifar100.py').model
    return dict(
        type='ImageClassifier',
        backbone=dict(type='ResNet', depth=18, base_channels=8, stem_channels=8),
        neck=dict(type='GlobalAveragePooling'),
        head=dict(type='LinearClsHead', num_classes=5, in_channels=64),
    )


@pytest.mark.parametrize('name', NAMES)
def test_with_the_students_weights_it_is_the_student(name):
    with DefaultScope.overwrite_default_scope('mmpretrain'):
        config = network_of(name)
        model = MODELS.build(
            dict(
                type='shake_mm.Distiller',
                student=copy.deepcopy(config),
                proxies=[dict(type='ShadowBranch')],
                terms=dict(
                    task=dict(of='student'), branch=dict(of='proxy0.logits', to='student.logits', loss=dict(tau=4.0))
                ),
            )
        ).eval()
    branch = model.proxies['proxy0']
    mine, theirs = branch.network.state_dict(), model.student.state_dict()
    assert mine and all(value.shape == theirs[key].shape for key, value in mine.items())
    assert len(mine) < len(theirs)
    branch.network.load_state_dict({key: theirs[key] for key in mine})
    with model.taps.recording() as taps, torch.no_grad():
        wanted = model.student(torch.randn(2, 3, 32, 32), mode='tensor')
        model.objective.derived['proxy0.logits'].compute(taps)
        torch.testing.assert_close(taps.value('proxy0.logits'), wanted, rtol=1e-5, atol=1e-5)


def test_a_layer_of_a_proxy_brings_the_proxy(make_classifier, batch):
    """A term that reads what the branch pools, and nothing else of it."""
    hint = dict(of='proxy0.network.neck', to='student.pool', loss=dict(type='FitNetsLoss'))
    model = MODELS.build(
        dict(
            type='shake_mm.Distiller',
            student=make_classifier(6),
            proxies=[dict(type='ShadowBranch')],
            terms=dict(hint=hint),
        )
    )
    assert [entry.tap for entry in model.plan.derived] == ['proxy0.logits'] and model.plan.members == {'student'}
    model.train()(*batch(), mode='loss')['loss_hint'].backward()
    assert model.proxies['proxy0'].network.backbone.layer3[0].conv1.weight.grad.abs().max() > 0


def test_refused(make_classifier):
    with pytest.raises(UsageError, match='level=3, but the network has 3 stages: use 1 to 2'):
        ShadowBranch(make_classifier(6), (6, 4, 4), level=3)
    lenet = dict(
        type='mmpretrain.ImageClassifier',
        backbone=dict(type='mmpretrain.LeNet5'),
        head=dict(type='mmpretrain.LinearClsHead', num_classes=5, in_channels=120),
    )
    with pytest.raises(UsageError, match='LeNet5 has no stages'):
        ShadowBranch(lenet, (6, 4, 4))


@pytest.mark.parametrize('detach', [False, True])
def test_what_reaches_the_shared_layers(make_classifier, batch, detach):
    """A divergence of the branch alone moves the layers before its level, unless it is detached."""
    model = MODELS.build(
        dict(
            type='shake_mm.Distiller',
            student=make_classifier(6),
            proxies=[dict(type='ShadowBranch', detach=detach)],
            terms=dict(branch=dict(of='proxy0.logits', to='student.logits', loss=dict(tau=4.0))),
        )
    ).train()
    model(*batch(), mode='loss')['loss_branch'].backward()
    own = [parameter.grad for parameter in model.proxies['proxy0'].parameters()]
    assert all(grad.abs().sum() > 0 for grad in own)
    shared = [parameter.grad for parameter in model.student.parameters()]
    assert any(grad is not None and grad.abs().sum() > 0 for grad in shared) != detach
