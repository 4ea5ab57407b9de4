"""Segmentors: which tensors are compared, how, by whom, and what is refused."""

import ast
import copy
from pathlib import Path

import mmseg.models  # noqa: F401  (its parts are registered)
import pytest
import torch
from mmengine.registry import DefaultScope

import shake_mm
from shake_mm.errors import UsageError
from shake_mm.losses import pixel_kl
from shake_mm.registry import MODELS
from shake_mm.tasks import GenericTask, SegmentationTask, task_of

from ..support.detectors import lively
from ..support.segmentors import pictures, segmentor

TASK = SegmentationTask()
SIGMOID = dict(type='CrossEntropyLoss', use_sigmoid=True, loss_weight=1.0)


@pytest.fixture(autouse=True)
def scope():
    with DefaultScope.overwrite_default_scope('mmseg'):
        yield


def build(kind='KD', student=None, teacher=None, **options):
    """A distiller of segmentors."""
    teacher = lively(teacher or segmentor(width=6), 2)
    model = MODELS.build(
        dict(type=f'shake_mm.{kind}', student=student or segmentor(), teachers=dict(config=teacher), **options)
    )
    torch.manual_seed(3)
    for name, parameter in model.named_parameters():
        if 'bn' not in name:
            parameter.data.add_(0.2 * torch.randn_like(parameter))
    return model


def heard(network, inputs):
    """What the classifier of a network makes of a batch, and what it reads."""
    found = []
    handle = TASK.heads(network)[0].register_forward_hook(lambda layer, args, output: found.append((output, args[0])))
    with torch.no_grad():
        network(inputs, mode='tensor')
    handle.remove()
    return found[-1]


def without_dropout(model):
    """In training mode, but with the same layers in every pass."""
    model.train()
    for layer in model.modules():
        if isinstance(layer, torch.nn.Dropout2d | torch.nn.BatchNorm2d):
            layer.eval()
    return model


@pytest.mark.parametrize(
    ('head', 'stride'), [('fcn', 4), ('fcn', 8), ('psp', 8), ('aspp', 4), ('da', 8), ('enc', 4), ('ocr', 8)]
)
def test_kd_compares_the_logits_that_both_predict_by(head, stride):
    """Of heads of one output and several, of a cascade's last one, and of another stride."""
    student = segmentor(head, stride=stride, aux=head == 'fcn')
    model = without_dropout(build(student=student, teacher=segmentor('fcn', 6), tau=2.0))
    data = model.data_preprocessor(pictures(), True)
    losses = model(**data, mode='loss')
    teacher = model.members.frozen['teacher0'].network
    logits = [heard(network, data['inputs'])[0] for network in (model.student, teacher)]
    assert logits[1].shape[2] == logits[0].shape[2] * stride // 4
    labels = torch.stack([sample.gt_sem_seg.data for sample in data['data_samples']])
    assert (labels == 255).any()
    torch.testing.assert_close(losses['loss_student_from_teacher'], pixel_kl(*logits, labels, tau=2.0))
    assert any(key.startswith('student.aux') for key in losses) == (head == 'fcn')
    total, _ = model.parse_losses(losses)
    total.backward()
    assert all(p.grad is None for p in teacher.parameters())


def test_the_logits_are_those_of_the_prediction():
    """The map that the network predicts by is the tapped one, enlarged."""
    network = lively(segmentor()).eval()
    inputs = torch.randn(2, 3, 64, 64)
    with torch.no_grad():
        predicted = torch.stack([sample.seg_logits.data for sample in network(inputs, mode='predict')])
    enlarged = torch.nn.functional.interpolate(heard(network, inputs)[0], size=(64, 64), mode='bilinear')
    torch.testing.assert_close(predicted, enlarged)


def test_shake_has_a_copy_of_the_classifier_on_what_it_reads():
    model = without_dropout(build('SHAKE'))
    shadow = model.proxies.proxy0.head
    assert type(shadow) is torch.nn.Conv2d and shadow.weight.shape == model.student.decode_head.conv_seg.weight.shape
    data = model.data_preprocessor(pictures(), True)
    losses = model(**data, mode='loss')
    logits, features = heard(model.student, data['inputs'])
    labels = torch.stack([sample.gt_sem_seg.data for sample in data['data_samples']])
    value = losses['loss_student_from_proxy']
    torch.testing.assert_close(value, pixel_kl(logits, shadow(features).detach(), labels))
    teacher = heard(model.members.frozen['teacher0'].network, data['inputs'])[0]
    torch.testing.assert_close(losses['loss_proxy_from_teacher'], pixel_kl(shadow(features), teacher, labels))
    sum(losses[key] for key in losses if 'proxy' in key).backward()
    assert shadow.weight.grad.abs().max() > 0 and model.student.backbone.conv1.weight.grad.abs().max() > 0


def test_shake_with_a_copy_of_the_whole_head():
    student = segmentor()
    head = dict(student.decode_head, _scope_='mmseg')
    proxies = dict(type='ShadowHead', head=head, source='student.backbone')
    model = without_dropout(build('SHAKE', student=student, proxies=proxies))
    data = model.data_preprocessor(pictures(), True)
    losses = model(**data, mode='loss')
    shadow = model.proxies.proxy0.head
    assert type(shadow) is type(model.student.decode_head)
    labels = torch.stack([sample.gt_sem_seg.data for sample in data['data_samples']])
    with torch.no_grad():
        wanted = pixel_kl(
            heard(model.student, data['inputs'])[0], shadow(model.student.extract_feat(data['inputs'])), labels
        )
    torch.testing.assert_close(losses['loss_student_from_proxy'].detach(), wanted)


@pytest.mark.parametrize('loss', [SIGMOID, [SIGMOID, dict(type='DiceLoss', loss_name='loss_dice')]], ids=['one', 'two'])
def test_heads_that_learn_by_sigmoids_are_compared_by_them(loss):
    model = build(student=segmentor(loss_decode=loss), teacher=segmentor(width=6, loss_decode=loss))
    assert model.terms['student_from_teacher'].loss.activation == 'sigmoid'


def test_two_classes_by_one_sigmoid():
    options = dict(classes=2, out_channels=1, threshold=0.5, loss_decode=SIGMOID)
    model = build(student=segmentor(**options), teacher=segmentor(width=6, **options))
    data = pictures(ignored=False)
    for sample in data['data_samples']:
        sample.gt_sem_seg.data %= 2
    losses = model.train()(**model.data_preprocessor(data, True), mode='loss')
    assert model.terms['student_from_teacher'].loss.activation == 'sigmoid'
    assert losses['loss_student_from_teacher'].isfinite() and losses['loss_student_from_teacher'] > 0


def test_every_pixel_counts_where_the_head_ignores_none_and_without_labels():
    model = without_dropout(build(divergence=dict(ignore_index=None)))
    assert model.terms['student_from_teacher'].fields == ()
    data = model.data_preprocessor(pictures(), True)
    value = model(**data, mode='loss')['loss_student_from_teacher']
    logits = [heard(network, data['inputs'])[0] for network in model.members.networks.values()]
    torch.testing.assert_close(value, pixel_kl(*logits))
    for sample in data['data_samples']:
        del sample.gt_sem_seg
    alone = build(
        'Distiller', terms=dict(kd=dict(of='student.logits', to='teacher0.logits', loss=dict(ignore_index=None)))
    )
    assert alone.train()(**data, mode='loss')['loss_kd'].isfinite()
    with pytest.raises(UsageError, match="asks for 'gt_sem_seg'.*ignore_index=None"):
        TASK.batch_field(data['data_samples'], 'gt_sem_seg')


def test_a_teachers_heads_run_only_where_a_term_reads_them():
    hint = dict(
        of='student.f3',
        to='teacher0.f3',
        connector=dict(type='ConvRegressor'),
        loss=dict(type='FitNetsLoss'),
    )
    model = build('Baseline', terms=dict(hint=hint))
    ran = []
    teacher = model.members.frozen['teacher0'].network
    for name in ('backbone', 'decode_head'):
        getattr(teacher, name).register_forward_hook(lambda *call, name=name: ran.append(name))
    assert model.train()(**model.data_preprocessor(pictures(), True), mode='loss')['loss_hint'].isfinite()
    assert ran == ['backbone']


def test_a_teacher_sees_its_own_normalization_and_padding():
    teacher = segmentor(width=6)
    teacher.data_preprocessor.update(mean=[0.0, 0, 0], std=[255.0] * 3, bgr_to_rgb=False, pad_val=1)
    model = build(teacher=teacher)
    seen = []
    network = model.members.frozen['teacher0'].network
    network.backbone.register_forward_pre_hook(lambda layer, args: seen.append(args[0]))
    data = pictures()
    wanted = network.data_preprocessor(copy.deepcopy(data), True)['inputs']
    model.train()(**model.data_preprocessor(data, True), mode='loss')
    torch.testing.assert_close(seen[0], wanted, rtol=1e-4, atol=1e-4)


REFUSED = {
    'queries': (dict(student=segmentor('segmenter')), 'a SegmenterMaskTransformerHead does not classify the places'),
    'other classes': (dict(teacher=segmentor(classes=7)), 'teacher0 has 7 classes and the student has 5'),
    'another activation': (dict(teacher=segmentor(loss_decode=SIGMOID)), 'logits of the activation sigmoid'),
    'no segmentor': (
        {},
        'teacher0 is a RetinaNet, but the student segments',
    ),
}


@pytest.mark.parametrize('case', REFUSED)
def test_refused_in_one_sentence(case):
    from ..support.detectors import detector

    changes, words = dict(REFUSED[case][0]), REFUSED[case][1]
    if case == 'no segmentor':
        changes['teacher'] = detector('retinanet')
    with pytest.raises(UsageError, match=words) as info:
        build(**changes)
    assert '\n' not in str(info.value) and str(info.value).endswith('.')


def test_a_head_that_changes_what_its_classifier_makes_is_refused():
    network = lively(segmentor())
    TASK.check_scores(network, 'student', True)
    network.decode_head.forward = lambda inputs: 2 * type(network.decode_head).forward(network.decode_head, inputs)
    with pytest.raises(UsageError, match='does not predict by what its `conv_seg` makes'):
        TASK.check_scores(network, 'student', True)


def test_labels_beyond_the_head_are_refused():
    network, samples = lively(segmentor()), pictures()['data_samples']
    TASK.check_samples(network, samples)
    samples[1].gt_sem_seg.data[0, 20, 20] = 7
    with pytest.raises(UsageError, match='has the label 7, but the model knows 0 to 4: .*reduce_zero_label'):
        TASK.check_samples(network, samples)
    del samples[0].gt_sem_seg
    with pytest.raises(UsageError, match='add LoadAnnotations'):
        TASK.check_samples(network, samples)


def test_a_segmentor_by_layer_names():
    """Through the task of any model."""
    generic = dict(
        type='shake_mm.GenericTask',
        logits='decode_head.conv_seg',
        divergence=dict(type='PixelKLLoss', ignore_index=None),
    )
    model = without_dropout(build(task=generic))
    assert isinstance(model.task, GenericTask) and isinstance(task_of(model.student), SegmentationTask)
    data = model.data_preprocessor(pictures(), True)
    value = model(**data, mode='loss')['loss_student_from_teacher']
    logits = [heard(network, data['inputs'])[0] for network in model.members.networks.values()]
    torch.testing.assert_close(value, pixel_kl(*logits))


@pytest.mark.parametrize('module', ['tasks/segmentation', 'evaluation/member_iou', 'datasets/digit_masks'])
def test_mmseg_is_imported_where_it_is_used_alone(module):
    tree = ast.parse((Path(shake_mm.__file__).parent / f'{module}.py').read_text(encoding='utf-8'))
    names = [node.module for node in tree.body if isinstance(node, ast.ImportFrom)]
    names += [alias.name for node in tree.body if isinstance(node, ast.Import) for alias in node.names]
    assert names and not [name for name in names if (name or '').startswith('mmseg')]
