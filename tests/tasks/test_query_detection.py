"""DETRs: what their taps hold, that one decoder answers another's queries as its own does, and what is refused."""

import copy
from functools import cache

import pytest
import torch
from mmengine.config import ConfigDict
from mmengine.registry import DefaultScope
from torch import nn

from shake_mm.errors import UsageError
from shake_mm.members import MemberSpec
from shake_mm.registry import MODELS
from shake_mm.tasks import task_of
from shake_mm.tasks.query_decoder import DecoderBehind

from ..support.detectors import CLASSES, detector, lively, scenes

QUERIES, WIDTH = 12, 256  # mmdet's layers have no other width in places
FILES = {
    'detr': 'detr/detr_r50_8xb2-150e_coco',
    'conditional': 'conditional_detr/conditional-detr_r50_8xb2-50e_coco',
    'dab': 'dab_detr/dab-detr_r50_8xb2-50e_coco',
    'deformable': 'deformable_detr/deformable-detr_r50_16xb2-50e_coco',
    'two-stage': 'deformable_detr/deformable-detr-refine-twostage_r50_16xb2-50e_coco',
    'dino': 'dino/dino-4scale_r50_8xb2-12e_coco',
    'ddq': 'ddq/ddq-detr-4scale_r50_8xb2-12e_coco',
}
SLOW = ('conditional', 'two-stage', 'dino')
KINDS = [pytest.param(kind, marks=[pytest.mark.slow] if kind in SLOW else []) for kind in FILES]
BOTH = ['student.decoding', 'teacher0.decoding']
MSE = dict(type='torch.nn.MSELoss')


@cache
def _read(kind):
    return MemberSpec.parse('student', f'mmdet::{FILES[kind]}.py').model


def detr(kind='detr', width=4, layers=2, **changes):
    """One of mmdet's own configs of a DETR, on a thin backbone, with few queries and layers and without dropout."""
    model = ConfigDict(copy.deepcopy(_read(kind)))
    indices = model.backbone.out_indices
    model.backbone = dict(type='ResNet', depth=18, base_channels=width, out_indices=indices)
    model.neck.in_channels = [width * 2**i for i in indices]
    model.encoder.num_layers, model.decoder.num_layers, model.num_queries = 1, layers, QUERIES
    model.bbox_head.num_classes = CLASSES
    model.test_cfg.max_per_img = 10
    _thin(model)
    model.update(changes)
    return model


def _thin(config):
    for key, value in list(config.items()) if isinstance(config, dict) else ():
        if key == 'feedforward_channels':
            config[key] = 32
        _thin(value)


def distiller(kind, student=None, teacher=None, **parts):
    network = lively(teacher or detr(kind, 6), 2)
    torch.manual_seed(1)
    model = MODELS.build(
        dict(type='shake_mm.Distiller', student=student or detr(kind), teachers=dict(config=network), **parts)
    )
    model.student.init_weights()  # before which the embeddings of levels are whatever the memory held
    for name, parameter in model.student.named_parameters():
        if 'bn' not in name:
            parameter.data.add_(0.05 * torch.randn_like(parameter))
    for layer in model.modules():
        if isinstance(layer, nn.Dropout):
            layer.p = 0.0
        elif isinstance(layer, nn.MultiheadAttention):
            layer.dropout = 0.0
    return model.train()


def recorded(model, *taps):
    """What taps hold in a step, and the losses."""
    for tap in taps:
        model.taps.request(tap)
    seen = {}
    field = model.taps.recording

    class Kept:
        def __enter__(self):
            self.block = field()
            return self.block.__enter__()

        def __exit__(self, *error):
            seen.update({tap: model.taps.value(tap) for tap in taps})
            return self.block.__exit__(*error)

    model.taps.recording = Kept
    losses = model(**model.data_preprocessor(scenes(), True), mode='loss')
    return seen, losses


@pytest.mark.parametrize('kind', KINDS)
def test_a_decoder_answers_its_own_queries_as_in_its_own_pass(kind):
    """Asked again, by a twin without hooks: of the student in training, beside its queries of denoising, and of the
    teacher. Both answer queries of any number, and the student's weights learn from what is asked of them."""
    model = distiller(
        kind,
        connectors=dict(
            specialized=dict(type='TeacherQueries', source=BOTH),
            general=dict(type='RandomQueries', source=BOTH, number=7),
        ),
        terms=dict(
            task=dict(of='student'),
            a=dict(of='connectors.specialized[0][-1]', to='teacher0.logits[-1]', loss=MSE),
            b=dict(of='connectors.general[1][-1]', to='connectors.general[3][-1]', loss=MSE),
            states=dict(of='student.states[-1]', to='teacher0.states[-1]', loss=MSE),
        ),
    )
    taps = [f'{member}.{tap}' for member in ('student', 'teacher0') for tap in ('decoding', 'logits', 'boxes')]
    seen, losses = recorded(model, *taps, 'connectors.specialized', 'connectors.general')
    for member, network in model.members.networks.items():
        decoding, logits, boxes = (seen[f'{member}.{tap}'] for tap in ('decoding', 'logits', 'boxes'))
        assert [tuple(x.shape) for x in boxes] == [(2, QUERIES, 4)] * 2
        again = DecoderBehind(network)(decoding, decoding)
        if kind == 'ddq' and member == 'student':  # in training its distinct queries are told among the dense ones too
            logits, boxes, again = logits[:1], boxes[:1], [side[:1] for side in again]
        for found, wanted in zip(again, (logits, boxes)):
            for one, other in zip(found, wanted):
                torch.testing.assert_close(one, other, rtol=1e-4, atol=1e-5)
    assert [tuple(x.shape[:2]) for x in seen['connectors.specialized'][0]] == [(2, QUERIES)] * 2
    assert all(x.shape[:2] == (2, 7) for side in seen['connectors.general'] for x in side)
    assert not any(x.requires_grad for side in seen['connectors.general'][2:] for x in side)

    model.zero_grad()
    losses['loss_a'].backward(retain_graph=True)
    moved = {name.split('.')[1] for name, p in model.named_parameters() if p.grad is not None and p.grad.any()}
    assert {'backbone', 'neck', 'encoder', 'decoder', 'bbox_head'} <= moved
    assert all(p.grad is None for p in model.members.networks['teacher0'].parameters())


def test_padding_is_the_samples():
    """The teacher looks at the same padding as the student: equal networks answer alike, on images of other sizes."""
    terms = dict(task=dict(of='student'), a=dict(of='student.logits[0]', to='teacher0.logits[0]', loss=MSE))
    model = distiller('detr', teacher=detr(), terms=terms)
    model.student.load_state_dict(model.members.networks['teacher0'].state_dict())
    for layer in model.student.modules():
        if isinstance(layer, nn.BatchNorm2d):
            layer.eval()
    data = scenes()
    data['inputs'][1] = data['inputs'][1][:, :40]
    data['data_samples'][1].set_metainfo(dict(img_shape=(40, *data['data_samples'][1].img_shape[1:])))
    batch = model.data_preprocessor(data, True)
    assert model(**batch, mode='loss')['loss_a'] < 1e-9
    for sample in batch['data_samples']:
        sample.set_metainfo(dict(img_shape=sample.batch_input_shape))
    shown = model.members.frozen['teacher0'](**batch)
    assert shown[1] is batch['data_samples']


def test_random_queries_are_of_the_form_of_the_network_s():
    torch.manual_seed(0)
    for kind, names in (('detr', {'query', 'query_pos'}), ('dino', {'query', 'reference_points'})):
        network = MODELS.build(detr(kind))
        like = torch.zeros(2, QUERIES, WIDTH, dtype=torch.float64)
        decoding = {'query': like, 'query_pos': like, 'reference_points': like[..., :4]}
        drawn = DecoderBehind(network).draw({name: decoding[name] for name in names}, 300)
        assert drawn.keys() == names and all(x.shape[:2] == (2, 300) for x in drawn.values())
        assert all(torch.equal(x[0], x[1]) and x.dtype == torch.float64 for x in drawn.values())
        assert drawn['query'].any() == (kind == 'dino')
        if kind == 'dino':
            assert 0 < drawn['reference_points'].min() < 0.3 and 0.7 < drawn['reference_points'].max() < 1
        else:
            assert abs(drawn['query_pos'].std() - 1) < 0.02


def test_the_exported_student_s_answers_are_compared():
    network = lively(detr('detr'), 1)
    outputs = task_of(network).outputs(network.eval(), torch.randn(1, 3, 64, 64))
    assert [tuple(x.shape) for x in outputs][1:] == [(2, 1, QUERIES, CLASSES + 1), (2, 1, QUERIES, 4)]


SPECIALIZED = dict(
    connectors=dict(specialized=dict(type='TeacherQueries', source=BOTH)),
    terms=dict(
        task=dict(of='student'),
        a=dict(of='connectors.specialized[0]', to='teacher0.logits', loss=dict(type='QueryKLLoss')),
    ),
)


@pytest.mark.parametrize(
    ('parts', 'words'),
    [
        (
            dict(teacher='dab'),
            "the student's queries are a content of 256 and a position of 256 and the teacher's a con",
        ),
        (dict(teacher='deformable'), 'teacher0 has 5 channels of classes and the student 6, as one has a background'),
        (dict(teacher='retinanet'), 'teacher0: a RetinaNet answers no queries as a DETR does: distill features'),
        (
            dict(connectors=dict(specialized=dict(type='TeacherQueries', source=BOTH[:1]))),
            'names 1 members, but it must',
        ),
        (
            dict(connectors=dict(specialized=dict(type='TeacherQueries', source=[BOTH[0], 'teacher0.states']))),
            "teacher0: a DETR goes on behind what its decoder reads, not behind states: name 'teacher0.decoding'",
        ),
        (
            dict(connectors=dict(specialized=dict(type='RandomQueries', source=BOTH, number=0))),
            'RandomQueries: number is 0',
        ),
        (
            dict(terms=dict(a=dict(of='student.logits', to='teacher0.logits', loss={}))),
            'take `_base_/methods/kd_detr_softmax.py`.*`_base_/methods/detrdistill_softmax.py`',
        ),
        (dict(proxies=dict(type='ShadowHead')), 'the queries of a DETR are no places that two networks share'),
    ],
)
def test_refusals(parts, words):
    parts = {**SPECIALIZED, **copy.deepcopy(parts)}
    kind = parts.pop('teacher', 'detr')
    teacher = detector('retinanet') if kind == 'retinanet' else detr(kind)
    if kind == 'dab':
        parts['terms'] = dict(
            task=dict(of='student'),
            a=dict(of='connectors.specialized[1]', to='teacher0.boxes', loss=dict(type='QueryBoxLoss')),
        )
    with pytest.raises(UsageError, match=words):
        distiller('detr', teacher=teacher, **parts)


def test_the_mend_is_of_the_head_s_kind():
    terms = dict(a=dict(of='student.logits', to='teacher0.logits', loss={}))
    with pytest.raises(UsageError, match='take `_base_/methods/kd_detr.py`.*`_base_/methods/detrdistill.py`'):
        distiller('deformable', teacher=detr('deformable'), terms=terms)


def test_classes_are_not_matched_by_name():
    with pytest.raises(UsageError, match='the classes of a DETR cannot be matched by name'):
        task_of(network := MODELS.build(detr())).logit_channels(network, 'teacher0')


@pytest.fixture(autouse=True)
def scope():
    with DefaultScope.overwrite_default_scope('mmdet'):
        yield
