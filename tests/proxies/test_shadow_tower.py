"""A shadow that shares the tower: what it computes, what it owns, whom it reaches, and which heads have none."""

import pytest
import torch
from torch import nn
from torch.nn import functional as F

from shake_mm.errors import UsageError
from shake_mm.registry import MODELS
from shake_mm.tasks.branch import ClassificationBranch, pyramid
from tests.support.detectors import HEADS, LEVELS, detector, lively, scenes

KINDS = (*HEADS, 'faster_rcnn', 'cascade_rcnn')
FEW = {('retinanet', ''), ('retinanet', '_last'), ('rtmdet', ''), ('faster_rcnn', '_last'), ('cascade_rcnn', '')}
ENDS = [
    pytest.param(kind, end, marks=() if (kind, end) in FEW else pytest.mark.slow)
    for kind in KINDS
    for end in ('', '_last', '1')
]


def build(kind, **proxy):
    own = {} if 'rcnn' in kind else dict(stacked_convs=3)
    return MODELS.build(
        dict(
            type='shake_mm.SHAKE',
            student=lively(detector(kind, **own)),
            teachers=lively(detector(kind, width=6, **own)),
            proxies=dict(type='ShadowTower', **proxy),
        )
    ).train()


def losses_of(model):
    return model(**model.data_preprocessor(scenes(), True), mode='loss')


def spread(model):
    for parameter in model.proxies.parameters():
        parameter.data.add_(0.2 * torch.randn_like(parameter))


@pytest.mark.parametrize(('kind', 'end'), ENDS)
def test_with_the_students_weights_it_says_what_the_student_says(kind, end):
    """Put on its tower at any layer; the student's own logits are the independent computation."""
    model = build(kind, source=f'student.cls_tower{end}').eval()
    proxy, task = model.proxies['proxy0'].head, model.task
    branches = proxy.branches if kind == 'cascade_rcnn' else [proxy]
    for branch, head in zip(branches, task.heads(model.student)):
        tower = 'shared_fcs' if 'rcnn' in kind else 'cls_convs'
        whole = head.state_dict()
        state = branch.head.state_dict()
        for name in state:
            source = name
            if name.startswith(tower):
                mine, theirs = getattr(branch.head, tower), getattr(head, tower)
                mine, theirs = (x[0] if isinstance(x[0], nn.ModuleList) else x for x in (mine, theirs))
                parts, place = name.split('.'), 2 if mine is not getattr(branch.head, tower) else 1
                parts[place] = str(int(parts[place]) + len(theirs) - len(mine))
                source = '.'.join(parts)
            state[name] = whole[source]
        branch.head.load_state_dict(state)
    data = model.data_preprocessor(scenes(), True)
    with torch.no_grad(), model.taps.recording() as taps:
        model.student.train()(**data, mode='loss')
        for module in model.modules():
            if isinstance(module, nn.modules.batchnorm._BatchNorm):
                module.train()  # as the student's own saw the batch
        found, wanted = model.proxies['proxy0'](taps.read(model.proxies['proxy0'].source)), taps.value('student.logits')
    found, wanted = ([x] if isinstance(x, torch.Tensor) else x for x in (found, wanted))
    assert len(found) == len(wanted) == (LEVELS if 'rcnn' not in kind else len(branches))
    for one, other in zip(found, wanted):
        torch.testing.assert_close(one, other, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize('kind', ['retinanet', 'faster_rcnn'])
def test_it_owns_less_and_reaches_the_shared_layers(kind):
    model = build(kind)
    spread(model)
    whole = sum(p.numel() for p in model.task.build_branch(model.student, None).parameters() if p.requires_grad)
    own = [p for p in model.proxies.parameters() if p.requires_grad]
    assert 0 < sum(p.numel() for p in own) < 0.7 * whole
    loss = losses_of(model)['loss_proxy_from_teacher']
    parameters = dict(model.named_parameters())
    gradients = dict(zip(parameters, torch.autograd.grad(loss, list(parameters.values()), allow_unused=True)))
    assert all(
        gradients[name] is not None for name in parameters if parameters[name].requires_grad and 'proxies' in name
    )
    tower = 'shared_fcs.0' if 'rcnn' in kind else 'cls_convs.0'
    assert any(tower in name and g is not None and g.abs().sum() > 0 for name, g in gradients.items())
    for name in ('retina_cls', 'fc_cls', 'conv_cls', 'atss_cls', 'gfl_cls', 'rtm_cls', 'reg'):
        assert all(g is None for key, g in gradients.items() if key.startswith('student') and name in key)


def test_a_linear_predictor_is_the_middle_of_the_kernels():
    model = build('retinanet', source='student.cls_tower_last', predictor='linear')
    spread(model)
    proxy = model.proxies['proxy0'].head.head.retina_cls
    assert proxy.weight.shape[2:] == (1, 1) and len(list(model.proxies.parameters())) == 2
    maps = [torch.randn(2, 8, 5, 3), torch.randn(2, 8, 2, 2), torch.randn(2, 8, 1, 1)]
    for x, found in zip(maps, model.proxies['proxy0'](maps)):
        wanted = torch.einsum('oc,nchw->nohw', proxy.weight[:, :, 0, 0], F.relu(x)) + proxy.bias[:, None, None]
        torch.testing.assert_close(found, wanted)
    assert torch.isfinite(sum(value for key, value in losses_of(model).items() if 'proxy' in key))


def test_a_separable_predictor_filters_each_channel_first():
    """It begins as the linear one, and keeps what stands at a border as a convolution does."""
    model = build('retinanet', source='student.cls_tower_last', predictor='separable')
    filters, linear = model.proxies['proxy0'].head.head.retina_cls
    identity = torch.zeros(3, 3)
    identity[1, 1] = 1
    assert torch.equal(filters.weight, identity.expand(8, 1, 3, 3)) and filters.bias is None
    assert linear.weight.shape[2:] == (1, 1) and len(list(model.proxies.parameters())) == 3
    spread(model)
    maps = [torch.randn(2, 8, 5, 3), torch.randn(2, 8, 2, 2), torch.randn(2, 8, 1, 1)]
    for x, found in zip(maps, model.proxies['proxy0'](maps)):
        # each place with its neighbors (N, C, 9, H * W), zeros beyond the border
        seen = F.unfold(F.relu(x), 3, padding=1).unflatten(1, (8, 9))
        filtered = torch.einsum('nckp,ck->ncp', seen, filters.weight.flatten(1))
        wanted = torch.einsum('oc,ncp->nop', linear.weight[:, :, 0, 0], filtered) + linear.bias[:, None]
        torch.testing.assert_close(found, wanted.unflatten(2, x.shape[2:]), rtol=1e-4, atol=1e-5)
    sum(value for key, value in losses_of(model).items() if 'proxy' in key).backward()
    assert all(parameter.grad.abs().sum() > 0 for parameter in model.proxies.parameters())


def test_there_is_nothing_to_separate_in_a_linear_predictor():
    with pytest.raises(UsageError, match='is linear already: leave it out'):
        build('faster_rcnn', source='student.cls_tower_last', predictor='separable')


def test_linear_leaves_the_tower_as_it_is():
    model = build('retinanet', predictor='linear')
    head = model.proxies['proxy0'].head.head
    assert head.cls_convs[1].conv.weight.shape[2:] == (3, 3) and head.retina_cls.weight.shape[2:] == (1, 1)


def test_refusals(make_classifier, trained):
    vfnet = MODELS.build(
        dict(
            _scope_='mmdet',
            type='VFNetHead',
            num_classes=3,
            in_channels=8,
            feat_channels=8,
            stacked_convs=2,
            norm_cfg=dict(type='GN', num_groups=2),
        )
    )
    branch = ClassificationBranch(lively(detector('retinanet')).bbox_head, pyramid([8] * LEVELS, torch.device('cpu')))
    with pytest.raises(UsageError, match="cannot be entered at 'feats'"):
        branch.begin_behind('feats')
    with pytest.raises(UsageError, match='depend on more than its classification tower'):
        ClassificationBranch(vfnet, pyramid([8] * 5, torch.device('cpu'))).begin_behind('cls_tower')
    with pytest.raises(UsageError, match="predictor='round', but it must be one of"):
        build('retinanet', predictor='round')
    teacher = make_classifier(8)
    with pytest.raises(UsageError, match='has no tower to share'):
        MODELS.build(
            dict(
                type='shake_mm.SHAKE',
                student=make_classifier(6),
                teachers=dict(config=teacher, checkpoint=trained(teacher)),
                proxies=dict(type='ShadowTower', source='student.feats'),
            )
        )
