"""The rest of a head behind its towers, against the layers one by one; CrossKD whole, on every head that it names."""

import copy

import pytest
import torch
from mmdet.models.losses import GIoULoss
from mmengine.config import Config
from torch.nn import functional as F

from shake_mm.compat import configs_dir
from shake_mm.errors import UsageError
from shake_mm.registry import MODELS
from shake_mm.tasks.detection_boxes import boxes_of
from shake_mm.tasks.detection_tower import head_behind, tower_aliases
from shake_mm.utils import twin_of
from tests.support.detectors import CLASSES, HEADS, detector, lively, scenes

METHODS = {'atss': 'crosskd_atss', 'gfl': 'crosskd_gfl', 'fcos': 'crosskd_fcos'}


def network(kind, seed=2, channels=8, depth=3):
    model = lively(detector(kind, channels=channels, stacked_convs=depth), seed).eval()
    if kind == 'rtmdet':  # exponentials of exponentials
        for layer in (*model.bbox_head.rtm_reg, *model.bbox_head.rtm_cls):
            layer.weight.data.mul_(0.05)
    return model


def maps(channels=8, seed=0):
    generator = torch.Generator().manual_seed(seed)
    return [torch.randn(2, channels, size, size, generator=generator) for size in (8, 4, 2)]


def towers(head, name, level):
    convs = getattr(head, name)
    return convs[level] if isinstance(convs[0], torch.nn.ModuleList) else convs


def last(head, level):
    """The two predictors, as each head calls them."""
    kinds = dict(RetinaHead='retina', ATSSHead='atss', GFLHead='gfl', RTMDetSepBNHead='rtm')
    kind = kinds.get(type(head).__name__)
    pair = [getattr(head, f'{kind}_{part}' if kind else f'conv_{part}') for part in ('cls', 'reg')]
    return [part[level] if isinstance(part, torch.nn.ModuleList) else part for part in pair]


@pytest.mark.parametrize('depth', [1, 2, 3])
@pytest.mark.parametrize('kind', HEADS)
def test_the_layers_behind_a_depth_one_by_one(kind, depth):
    model = network(kind)
    head, sides = model.bbox_head, (maps(seed=1), maps(seed=2))
    found = head_behind(model, [f'cls_tower{depth}', f'reg_tower{depth}'], 'teacher0')(*sides)
    activate = F.silu if kind == 'rtmdet' else F.relu
    for level in range(3):
        x, y = (activate(side[level]) for side in sides)
        for index in range(depth, 3):
            x, y = towers(head, 'cls_convs', level)[index](x), towers(head, 'reg_convs', level)[index](y)
        classify, regress = last(head, level)
        logits, raw = classify(x), regress(y)
        if kind in ('fcos', 'atss', 'gfl'):
            raw = head.scales[level](raw)
        raw = raw.exp() if kind == 'fcos' else raw.exp() * (4, 8, 16)[level] if kind == 'rtmdet' else raw
        torch.testing.assert_close(found[0][level], logits)
        torch.testing.assert_close(found[2][level], raw)
        torch.testing.assert_close(found[1][level], boxes_of(head)([pair for pair in found[2]])[level])


@pytest.mark.parametrize('kind', HEADS)
def test_its_own_features_lead_to_its_own_predictions(kind):
    """Taps of the towers, put back where they came from; gradients reach them and no weight of the head."""
    model = network(kind)
    student = copy.deepcopy(model)
    terms = dict(
        one=dict(of='student.cls_tower2', to='teacher0.cls_tower2', loss=dict(type='HCLLoss')),
        two=dict(of='student.reg_tower2', to='teacher0.reg_tower2', loss=dict(type='HCLLoss')),
    )
    distiller = MODELS.build(dict(type='shake_mm.Baseline', student=student, teachers=[model], terms=terms))
    data = distiller.data_preprocessor(scenes(), True)
    task = distiller.task
    with distiller.taps.recording() as taps:
        teacher = distiller.members.frozen['teacher0']
        teacher.forward_head(teacher(**data), taps)
        features = [[x.requires_grad_() for x in taps.value(f'teacher0.{name}_tower2')] for name in ('cls', 'reg')]
        found = task.behind(model, ['cls_tower2', 'reg_tower2'], 'teacher0')(*features)
    with torch.no_grad():
        wanted = model.bbox_head(model.extract_feat(teacher.view(data['inputs'])))
    for mine, its in zip((found[0], *found[2:]), wanted):
        assert all(map(torch.equal, mine, its))
    assert model.bbox_head.training is False and all(p.grad is None for p in model.parameters())
    gradients = torch.autograd.grad(sum(x.sum() for side in (found[0], found[2]) for x in side), sum(features, []))
    assert all(g.abs().sum() > 0 for g in gradients)


def distiller(kind, width=8, depth=2, **kwargs):
    method = Config.fromfile(f'{configs_dir()}/_base_/methods/{METHODS.get(kind, "crosskd")}.py').method
    torch.manual_seed(0)
    student, teacher = network(kind, 1, 8, depth), network(kind, 2, width, depth)
    return MODELS.build(dict(student=student, teachers=[teacher], **method, **kwargs)).train()


@pytest.mark.parametrize('kind', HEADS)
def test_crosskd_teaches_the_student_s_towers_and_not_its_predictors(kind):
    model = distiller(kind)
    losses = model(**model.data_preprocessor(scenes(), True), mode='loss')
    terms = {'loss_cross_cls': 'cls_convs', 'loss_cross_box': 'reg_convs'}
    if kind in ('gfl', 'atss'):
        terms['loss_cross_sides' if kind == 'gfl' else 'loss_cross_center'] = 'reg_convs'
    named = dict(model.student.named_parameters())
    for term, tower in terms.items():
        assert losses[term].isfinite() and losses[term] > 0
        found = torch.autograd.grad(losses[term], list(named.values()), retain_graph=True, allow_unused=True)
        moved = {name for name, g in zip(named, found) if g is not None and g.abs().sum() > 0}
        inside = {name.partition('.')[2].partition('.')[0] for name in moved if name.startswith('bbox_head')}
        assert inside == {tower} and any('backbone' in name for name in moved)
        deep = f'{tower}.0.1.' if kind == 'rtmdet' else f'{tower}.1.'  # behind the tap
        assert kind == 'fcos' or not any(deep in name for name in moved)


def split_tower(convs, x, depth):
    """What a tower makes, and what the layer at a depth makes before its activation."""
    held = x
    for index, conv in enumerate(convs):
        x = conv(x, activate=False)
        held = x.clone() if index + 1 == depth else held
        x = conv.activate(x)
    return x, held


def crosskd_by_hand(student, teacher, inputs, samples):
    """The whole objective of a RetinaNet as a loop would write it, with the formulas in place."""

    def passes(network, feats):
        head, outs = network.bbox_head, []
        for level in feats:
            classes, boxes = (split_tower(convs, level, 1) for convs in (head.cls_convs, head.reg_convs))
            outs.append((head.retina_cls(classes[0]), head.retina_reg(boxes[0]), classes[1], boxes[1]))
        return [list(side) for side in zip(*outs)]

    def aligned(mine, its):
        means, deviations = ([f(x, (0, 2, 3), keepdim=True) for x in (mine, its)] for f in (torch.mean, torch.std))
        return F.relu((mine - means[0]) / (deviations[0] + 1e-6) * deviations[1] + means[1])

    def flat(maps, channels):
        return torch.cat([x.permute(0, 2, 3, 1).reshape(len(x), -1, channels) for x in maps], 1)

    with torch.no_grad():
        t_cls, t_box, *held = passes(teacher, teacher.extract_feat(inputs))
    s_cls, s_box, *mine = passes(student, student.extract_feat(inputs))
    head, seen = student.bbox_head, []
    plain = head.get_targets
    head.get_targets = lambda *args, **kwargs: seen.append(plain(*args, **kwargs)) or seen[0]
    own = head.loss_by_feat(s_cls, s_box, [s.gt_instances for s in samples], [s.metainfo for s in samples])
    del head.get_targets
    valid, number = torch.cat(seen[0][1], 1), seen[0][-1]
    (x, y), last = ([aligned(m, t) for m, t in zip(*pair)] for pair in zip(mine, held)), teacher.bbox_head
    logits = flat([last.retina_cls(last.cls_convs[1](level)) for level in x], CLASSES)
    deltas = flat([last.retina_reg(last.reg_convs[1](level)) for level in y], 4)
    scores, wanted = flat(t_cls, CLASSES).sigmoid(), flat(t_box, 4)
    entropy = F.binary_cross_entropy_with_logits(logits, scores, reduction='none')
    classes = (valid[..., None] * (logits.sigmoid() - scores).abs() * entropy).sum() / number
    anchors = torch.cat(head.prior_generator.grid_priors([level.shape[2:] for level in s_cls], device='cpu'))
    boxes = [last.bbox_coder.decode(anchors.repeat(len(d), 1), d.reshape(-1, 4)) for d in (deltas, wanted)]
    weight = (scores.amax(2) * (valid > 0)).flatten()
    giou = GIoULoss(reduction='none')(*boxes)
    return sum(sum(losses) for losses in own.values()) + classes + (weight * giou).sum() / number


def test_the_step_is_that_of_a_loop_written_by_hand():
    model = distiller('retinanet')
    twin = copy.deepcopy(model)
    data = model.data_preprocessor(scenes(), True)
    total, _ = model.parse_losses(model(**copy.deepcopy(data), mode='loss'))
    teacher = twin.members.frozen['teacher0']
    assert torch.equal(teacher.view(data['inputs']), data['inputs'])
    wanted = crosskd_by_hand(twin.student, teacher.network, **{k.replace('data_', ''): v for k, v in data.items()})
    torch.testing.assert_close(total, wanted, rtol=1e-5, atol=0)
    total.backward()
    wanted.backward()
    for (name, mine), its in zip(model.student.named_parameters(), twin.student.parameters()):
        scale = its.grad.abs().max().item()
        torch.testing.assert_close(mine.grad, its.grad, rtol=1e-3, atol=1e-4 * max(scale, 1e-6), msg=name)


def test_towers_of_another_width_are_led_to_by_convolutions_that_are_trained_and_saved():
    model = distiller('retinanet', width=12)
    losses = model(**model.data_preprocessor(scenes(), True), mode='loss')
    (losses['loss_cross_cls'] + losses['loss_cross_box']).backward()
    added = {name: p for name, p in model.named_parameters() if name.startswith('connectors.cross')}
    assert len(added) == 4 and all(p.grad.abs().sum() > 0 for name, p in added.items() if 'weight' in name)
    assert not any('teacher' in name or 'behind' in name for name in model.state_dict())


def test_a_copy_goes_on_in_its_own_teacher():
    model = distiller('retinanet')
    twin = copy.deepcopy(model)
    for parameter in twin.members.frozen['teacher0'].parameters():
        parameter.data.mul_(0.5)
    data = model.data_preprocessor(scenes(), True)
    one, other = (m(**copy.deepcopy(data), mode='loss')['loss_cross_cls'] for m in (model, twin))
    assert not torch.equal(one, other)
    assert torch.equal(one, model(**copy.deepcopy(data), mode='loss')['loss_cross_cls'])


@pytest.mark.parametrize('inference', [dict(dtype='bfloat16'), dict(fuse_bn=True, channels_last=True)])
def test_a_teacher_that_computes_more_cheaply(inference):
    model = distiller('fcos')
    data = model.data_preprocessor(scenes(), True)
    exact = model(**copy.deepcopy(data), mode='loss')
    method = Config.fromfile(f'{configs_dir()}/_base_/methods/crosskd_fcos.py').method
    teacher = dict(config=model.members.frozen['teacher0'].network, inference=inference)
    cheap = MODELS.build(dict(student=model.student, teachers=[teacher], **method)).train()
    losses = cheap(**copy.deepcopy(data), mode='loss')
    for name in ('loss_cross_cls', 'loss_cross_box'):
        torch.testing.assert_close(losses[name], exact[name], rtol=0.1, atol=0.02)


def test_what_goes_not_on_is_refused():
    method = Config.fromfile(f'{configs_dir()}/_base_/methods/crosskd.py').method
    faster = lively(detector('faster_rcnn'))
    with pytest.raises(UsageError, match='names no layer of student'):
        MODELS.build(dict(student=faster, teachers=[copy.deepcopy(faster)], **method))
    with pytest.raises(UsageError, match='goes on behind both of its towers at one depth, not behind cls_tower, f1'):
        head_behind(network('retinanet'), ['cls_tower', 'f1'], 'teacher0')
    with pytest.raises(UsageError, match='has no two towers of convolutions'):
        head_behind(faster, ['cls_tower', 'reg_tower'], 'teacher0')
    model = network('retinanet')
    teacher = dict(config=copy.deepcopy(model), trainable=True)
    with pytest.raises(UsageError, match='CrossHead goes on in the layers of teacher0, which must not learn'):
        MODELS.build(dict(student=model, teachers=[teacher], **method))


def test_a_twin_has_the_weights_and_not_the_layers():
    layer = torch.nn.Sequential(torch.nn.Conv2d(2, 3, 1), torch.nn.BatchNorm2d(3))
    calls = []
    layer[0].register_forward_hook(lambda *args: calls.append(1))
    twin = twin_of(layer)
    layer.half().float()
    layer[1].running_mean.fill_(2.0)
    with torch.no_grad():
        layer[0].weight.fill_(0.5)
    x = torch.randn(2, 2, 4, 4)
    assert torch.equal(twin.eval()(x), layer.eval()(x)) and calls == [1]
    twin[0] = torch.nn.Identity()
    assert isinstance(layer[0], torch.nn.Conv2d)


def test_names_of_the_towers():
    aliases = tower_aliases(network('gfl').bbox_head)
    assert aliases['cls_tower'] == aliases['cls_tower2'] == 'bbox_head.cls_convs.1.gn:each'
    assert tower_aliases(network('retinanet').bbox_head)['reg_tower3'] == 'bbox_head.reg_convs.2.conv:each'
    levels = tower_aliases(network('rtmdet').bbox_head)['reg_tower1']
    assert levels == tuple(f'bbox_head.reg_convs.{level}.0.bn' for level in range(3))
    assert tower_aliases(network('retinanet', depth=1).bbox_head)['cls_tower'] == 'bbox_head.cls_convs.0.conv:each'
