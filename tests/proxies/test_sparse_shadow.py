"""A shadow at the surest places: what it computes there and elsewhere, its gradients, and which heads have none."""

import pytest
import torch
from torch.nn import functional as F

from shake_mm.errors import UsageError
from shake_mm.registry import MODELS
from shake_mm.tasks.branch import ClassificationBranch, pyramid
from tests.support.detectors import HEADS, LEVELS, detector, lively, scenes

FEW = ('retinanet', 'rtmdet', 'gfl')
KINDS = [pytest.param(kind, marks=() if kind in FEW else pytest.mark.slow) for kind in HEADS]


SOFTMAX = dict(type='CrossEntropyLoss', use_sigmoid=False, loss_weight=1.0)


def build(kind, loss=None, **proxy):
    own = {} if loss is None else dict(loss_cls=loss)
    return MODELS.build(
        dict(
            type='shake_mm.SHAKE',
            student=lively(detector(kind, **own)),
            teachers=lively(detector(kind, width=6, **own)),
            proxies=dict(type='SparseShadow', **proxy),
        )
    ).train()


def losses_of(model):
    return model(**model.data_preprocessor(scenes(), True), mode='loss')


def chosen(logits, share):
    """Of each image the places (N, 1, H, W) of the largest logits, one by one."""
    mask = torch.zeros_like(logits[:, :1], dtype=torch.bool)
    for image, of_image in zip(logits, mask):
        best = image.flatten(1).max(0).values.argsort(descending=True)
        of_image.view(-1)[best[: max(1, round(share * len(best)))]] = True
    return mask


@pytest.mark.parametrize('kind', KINDS)
@pytest.mark.parametrize('share', [0.25, 1.0])
def test_with_the_students_predictor_it_says_what_the_student_says(kind, share):
    """At the surest places; elsewhere it says what the teacher says."""
    model = build(kind, places=share).eval()
    own, student = model.proxies['proxy0'].head.head, model.student.bbox_head.state_dict()
    own.load_state_dict({name: student[name] for name in own.state_dict()})
    data = model.data_preprocessor(scenes(), True)
    with torch.no_grad(), model.taps.recording() as taps:
        model.student.train()(**data, mode='loss')
        teacher = model.members.frozen['teacher0']
        teacher.forward_head(teacher(**data), taps)
        found = model.proxies['proxy0'](taps.read(model.proxies['proxy0'].source))
        student, teacher = taps.value('student.logits'), taps.value('teacher0.logits')
    assert len(found) == LEVELS
    for one, ours, theirs in zip(found, student, teacher):
        torch.testing.assert_close(one, torch.where(chosen(theirs, share), ours, theirs), rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize('shape', [(6, 5), (3, 1), (1, 1)])
def test_gradients_are_those_of_a_masked_convolution(shape):
    """In double precision: of the maps, the weights and the bias, from the places that are chosen alone."""
    proxy = build('retinanet', places=0.3).proxies['proxy0'].double()
    maps = [torch.randn(2, 8, *shape, dtype=torch.double, requires_grad=True)]
    teacher = torch.randn(2, 20, *shape, dtype=torch.double, requires_grad=True)
    weight, bias = proxy.head.head.retina_cls.parameters()
    weight.data.normal_()
    slope = torch.randn_like(teacher)
    (found,) = proxy([maps, [teacher]])
    dense = F.conv2d(F.relu(maps[0]), weight, bias, padding=1)
    wanted = torch.where(chosen(teacher, 0.3), dense, teacher.detach())
    torch.testing.assert_close(found, wanted)
    found, wanted = (torch.autograd.grad((x * slope).sum(), [*maps, weight, bias]) for x in (found, wanted))
    for one, other in zip(found, wanted):
        torch.testing.assert_close(one, other)
        assert one.abs().sum() > 0


def test_of_a_softmax_the_background_is_no_object():
    """Places count by what is left of one without the last channel's probability, of the anchor where that is most."""
    proxy = build('retinanet', loss=SOFTMAX).proxies['proxy0']
    logits = 3 * torch.randn(2, 4 * 6, 5, 4)  # four anchors, five classes and the background
    anchors = 1 - logits.double().unflatten(1, (4, 6)).softmax(2)[:, :, -1]
    best = anchors.amax(1).flatten(1).topk(5, dim=1).indices
    assert torch.equal(proxy.head.surest(logits, 0.25).sort().values, best.sort().values)


def test_a_teacher_of_less_precision_does_not_lower_the_shadows():
    proxy = build('retinanet').proxies['proxy0']
    (found,) = proxy([[torch.randn(1, 8, 4, 4)], [torch.randn(1, 20, 4, 4, dtype=torch.bfloat16)]])
    assert found.dtype == torch.float32 and found.shape == (1, 20, 4, 4)


def test_the_shadow_learns_from_the_chosen_places_and_the_tower_learns_with_it():
    model = build('retinanet')
    with torch.no_grad():
        for parameter in model.proxies.parameters():
            parameter.add_(0.2 * torch.randn_like(parameter))
    losses = losses_of(model)
    losses['loss_proxy_from_teacher'].backward(retain_graph=True)
    assert all(parameter.grad.abs().sum() > 0 for parameter in model.proxies.parameters())
    assert model.student.bbox_head.cls_convs[-1].conv.weight.grad.abs().sum() > 0
    assert model.student.bbox_head.retina_cls.weight.grad is None
    assert len(list(model.proxies.parameters())) == 2 and model.proxies['proxy0'].places == 0.25
    losses['loss_student_from_proxy'].backward()
    assert model.student.bbox_head.retina_cls.weight.grad.abs().sum() > 0


@pytest.mark.parametrize('share', [0, 1.5])
def test_a_share_is_none(share):
    with pytest.raises(UsageError, match=rf'SparseShadow: places={share}, but it is a share'):
        build('retinanet', places=share)


@pytest.mark.parametrize('kind', ['faster_rcnn', 'cascade_rcnn'])
def test_a_head_of_boxes_has_no_places(kind):
    with pytest.raises(UsageError, match='SparseShadow: .* use dict\\(type="ShadowTower"'):
        build(kind)


@pytest.mark.parametrize('source', ['student.cls_tower_last', ['student.cls_tower_last']])
def test_it_reads_a_tower_and_logits(source):
    with pytest.raises(UsageError, match='two taps, the end of the tower and the logits of the teacher'):
        build('retinanet', source=source)


def test_a_predictor_is_one_plain_convolution():
    branch = ClassificationBranch(lively(detector('retinanet')).bbox_head, pyramid([8] * LEVELS, torch.device('cpu')))
    branch.begin_behind('cls_tower_last')
    branch.head.retina_cls.dilation = (2, 2)
    with pytest.raises(UsageError, match='are not predicted by one plain convolution'):
        branch.read_patches()


def test_it_begins_behind_the_tower():
    """Not earlier: what is laid side by side would be mixed by the tower's own convolutions."""
    source = ['student.cls_tower1', 'teacher0.logits']
    assert build('retinanet', source=source).proxies['proxy0'].kernel == (3, 3)  # of one layer, which is the last
    with pytest.raises(UsageError, match='begin behind the last layer'):
        MODELS.build(
            dict(
                type='shake_mm.SHAKE',
                student=lively(detector('retinanet', stacked_convs=2)),
                teachers=lively(detector('retinanet', width=6, stacked_convs=2)),
                proxies=dict(type='SparseShadow', source=source),
            )
        )
