"""Every registered head of mmpretrain: equal networks teach nothing, and the logits are those that it predicts by."""

import copy

import pytest
import torch
from mmengine.model import BaseModule
from mmpretrain.models.heads import ClsHead
from mmpretrain.registry import MODELS as MMPRETRAIN
from mmpretrain.structures import DataSample

from shake_mm.engine import MemberPredictor
from shake_mm.errors import UsageError
from shake_mm.registry import MODELS
from shake_mm.tasks import task_of
from shake_mm.tasks.scores import KNOWN

CLASSES, WIDTH = 5, 6
LINEAR = dict(num_classes=CLASSES, in_channels=WIDTH)
HEADS = {
    'ArcFaceClsHead': dict(LINEAR, scale=4.0),
    'CSRAClsHead': dict(LINEAR, num_heads=2, lam=0.1),
    'ClsHead': dict(),
    'ConformerHead': dict(num_classes=CLASSES, in_channels=[WIDTH, WIDTH]),
    'DeiTClsHead': LINEAR,
    'EfficientFormerClsHead': dict(LINEAR, distillation=False),
    'LeViTClsHead': dict(LINEAR, distillation=False),
    'LinearClsHead': LINEAR,
    'MultiLabelClsHead': dict(),
    'MultiLabelLinearClsHead': LINEAR,
    'StackedLinearClsHead': dict(LINEAR, mid_channels=[7]),
    'VigClsHead': dict(LINEAR, hidden_dim=7),
    'VisionTransformerClsHead': LINEAR,
}
"""Of classifiers, each with its arguments."""
REFUSED = {'MultiTaskHead': dict(task_heads=dict(a=dict(type='LinearClsHead', **LINEAR)))}
NO_CLASSIFIER = {
    'BEiTV1Head': 'masked image modeling',
    'BEiTV2Head': 'masked image modeling',
    'CAEHead': 'masked image modeling',
    'ContrastiveHead': 'contrastive pre-training',
    'GroundingHead': 'text and boxes',
    'ITCHead': 'images and texts',
    'ITMHead': 'images and texts',
    'LatentCrossCorrelationHead': 'self-supervised pre-training',
    'LatentPredictHead': 'self-supervised pre-training',
    'MAEPretrainHead': 'masked image modeling',
    'MIMHead': 'masked image modeling',
    'MixMIMPretrainHead': 'masked image modeling',
    'MoCoV3Head': 'contrastive pre-training',
    'SeqGenerationHead': 'texts',
    'SimMIMHead': 'masked image modeling',
    'SparKPretrainHead': 'masked image modeling',
    'SwAVHead': 'contrastive pre-training',
    'VQAGenerationHead': 'texts',
    'iTPNClipHead': 'masked image modeling',
}
"""Heads of models that predict no classes, and what those do: no classifier can have them."""
REGRESSORS = {'LinearRegressionHead', 'RegressionHead'}
"""Heads that OneDL's mmpretrain has and OpenMMLab's has not."""
every_head = pytest.mark.parametrize('name', HEADS)
WITHOUT_LAYERS = ('ClsHead', 'MultiLabelClsHead')


class Backbone(BaseModule):
    """Makes what a head reads: vectors, maps, two vectors, or a transformer's tokens."""

    def __init__(self, kind):
        super().__init__()
        self.kind, classifies = kind, kind in WITHOUT_LAYERS
        self.layer = torch.nn.Conv2d(3, CLASSES if classifies else WIDTH, 4, stride=4)

    def forward(self, x):
        maps = self.layer(x)
        vector = maps.mean((2, 3))
        forms = {
            'CSRAClsHead': maps,
            'ConformerHead': [vector, vector.square()],
            'DeiTClsHead': (maps, vector, vector.square()),
        }
        return (forms.get(self.kind, vector),)


def network(name, seed=0, **head):
    torch.manual_seed(seed)
    config = dict(
        type='ImageClassifier',
        backbone=dict(type=Backbone, kind=name),
        head=dict(type=name, **{**HEADS.get(name, LINEAR), **head}),
    )
    model = MODELS.build(config)
    for parameter in model.parameters():
        parameter.data.normal_(std=0.5)
    return model


def batch():
    inputs = torch.randn(4, 3, 16, 16, generator=torch.Generator().manual_seed(1))
    return inputs, [DataSample().set_gt_label(i % CLASSES) for i in range(4)]


def build(method, name, student=None, teacher=None, **kwargs):
    student, teacher = student or network(name), teacher or network(name, seed=1)
    model = MODELS.build(dict(type=f'shake_mm.{method}', student=student, teachers=teacher, tau=2.0, **kwargs))
    model.train()
    for layer in model.student.modules():  # a teacher's statistics are its running ones
        if isinstance(layer, torch.nn.BatchNorm1d):
            layer.eval()
    return model


def test_every_registered_head_is_looked_at():
    places = {name: cls.__module__ for name, cls in MMPRETRAIN.module_dict.items()}
    registered = {name for name, module in places.items() if module.startswith('mmpretrain.models.heads')}
    assert registered - REGRESSORS == {*HEADS, *REFUSED, *NO_CLASSIFIER}
    assert {cls.__name__ for cls in KNOWN} == set(HEADS)


@every_head
def test_equal_networks_teach_nothing(name):
    student = network(name)
    model = build('KD', name, student, copy.deepcopy(student))
    loss = model(*batch(), mode='loss')['loss_student_from_teacher']
    gradients = torch.autograd.grad(loss, list(model.student.parameters()), allow_unused=True)
    assert 0 <= abs(float(loss)) < 1e-6
    assert any(g is not None for g in gradients)
    assert all(g is None or g.abs().max() < 1e-6 for g in gradients)


@every_head
def test_the_logits_are_those_that_the_head_predicts_by(name):
    """In training, while the loss is computed, and of the teacher."""
    model = build('KD', name)
    inputs, samples = batch()
    frozen = model.members.frozen['teacher0']
    with model.taps.recording() as taps:
        frozen(inputs)
        model.student(inputs, samples, mode='loss')
        logits = {member: taps.tensor(f'{member}.logits') for member in ('student', 'teacher0')}
    sigmoid = name.startswith(('MultiLabel', 'CSRA'))
    for member, net in (('student', model.student), ('teacher0', frozen.network)):
        scores = torch.stack([s.pred_score for s in net.eval()(inputs, mode='predict')])
        torch.testing.assert_close(logits[member].sigmoid() if sigmoid else logits[member].softmax(1), scores)


@every_head
def test_a_shadow_has_layers_of_its_own_and_predicts_by_its_logits(name):
    if name in WITHOUT_LAYERS:
        with pytest.raises(UsageError, match=r"has no layers to copy.*give proxies=dict\(type='ShadowNetwork'\)"):
            build('SHAKE', name, shadowed(name))
        model = build('SHAKE', name, shadowed(name), proxies=dict(type='ShadowNetwork'))
    else:
        model = build('SHAKE', name, shadowed(name))
    inputs, samples = batch()
    losses = model(inputs, samples, mode='loss')
    total = losses['loss_proxy_from_teacher'] + losses['loss_proxy_from_student']
    gradients = torch.autograd.grad(total, list(model.proxies.parameters()))
    assert total > 1e-4 and all(g.abs().sum() > 0 for g in gradients)
    if name in WITHOUT_LAYERS:
        return
    weights = model.student.head.state_dict().values()  # with which the shadow says what the student says
    head = model.proxies['proxy0'].head
    head.load_state_dict(dict(zip(head.state_dict(), weights)))
    found = MemberPredictor(model.eval(), 'proxy0').evaluate(*batch())
    expected = model.student(inputs, mode='predict')
    assert all(torch.equal(a.pred_score, b.pred_score) for a, b in zip(found, expected))


def shadowed(name):
    """The config of a student, whose head a shadow copies."""
    head = dict(type=name, **HEADS[name])
    return dict(type='ImageClassifier', backbone=dict(type=Backbone, kind=name), head=head)


@pytest.mark.parametrize('name', ['ClsHead', 'MultiLabelClsHead'])
def test_the_remedy_for_a_head_without_layers_works(name):
    """A shadow head of another kind on features of the backbone."""
    head = dict(type='LinearClsHead', num_classes=CLASSES, in_channels=CLASSES)
    proxy = dict(type='ShadowHead', head=head, source='student.backbone')
    losses = build('SHAKE', name, shadowed(name), proxies=proxy)(*batch(), mode='loss')
    assert losses['loss_student_from_proxy'] > 1e-4


@pytest.mark.parametrize('name', ['LeViTClsHead', 'EfficientFormerClsHead'])
def test_distillation_heads_can_teach_and_cannot_learn(name):
    teacher = network(name, seed=1, distillation=True)
    model = build('KD', name, teacher=teacher)
    inputs, samples = batch()
    with model.taps.recording() as taps:
        model.members.frozen['teacher0'](inputs)
        logits = taps.tensor('teacher0.logits')
    scores = torch.stack([s.pred_score for s in teacher.eval()(inputs, mode='predict')])
    torch.testing.assert_close(logits.softmax(1), scores)
    with pytest.raises(UsageError, match=f'student: mmpretrain does not train a {name} .* set distillation=False'):
        build('KD', name, student=network(name, distillation=True))


def test_several_tasks_are_refused_by_name():
    head = dict(type='MultiTaskHead', **REFUSED['MultiTaskHead'])
    student = MODELS.build(dict(type='ImageClassifier', backbone=dict(type=Backbone, kind='x'), head=head))
    with pytest.raises(UsageError, match='student: a MultiTaskHead has logits for each task'):
        build('KD', 'LinearClsHead', student=student)
    with pytest.raises(UsageError, match='teacher0: a MultiTaskHead has logits for each task'):
        build('KD', 'LinearClsHead', teacher=student)


@pytest.mark.skipif('LinearRegressionHead' not in MMPRETRAIN, reason="not OneDL's mmpretrain")
def test_a_regressor_is_refused():
    head = dict(type='LinearRegressionHead', num_classes=2, in_channels=WIDTH)
    student = MODELS.build(dict(type='ImageClassifier', backbone=dict(type=Backbone, kind='x'), head=head))
    with pytest.raises(UsageError, match='student: a LinearRegressionHead predicts numbers and no classes'):
        build('KD', 'LinearClsHead', student=student)


class Margin(ClsHead):
    """Another's head, whose training output is not what it predicts by."""

    def __init__(self, margin, **kwargs):
        super().__init__()
        self.margin, self.fc = margin, torch.nn.Linear(WIDTH, CLASSES)

    def forward(self, feats):
        return self.fc(feats[-1]) - (self.margin if self.training else 0) * torch.eye(CLASSES)[0]


@pytest.mark.parametrize(('margin', 'learns'), [(0.0, True), (0.5, False)])
def test_a_head_that_is_not_known_is_compared(margin, learns):
    other, known = network('LinearClsHead'), network('LinearClsHead', seed=1)
    other.head = Margin(margin)
    model = build('KD', '', student=other if learns else known, teacher=known if learns else other)
    assert float(model(*batch(), mode='loss')['loss_student_from_teacher']) > 0
    assert task_of(other).compares_members(other)


def test_a_head_whose_training_output_is_another_is_refused():
    student = network('LinearClsHead')
    student.head = Margin(0.5)
    with pytest.raises(UsageError, match='student: what its Margin returns in training is not what it predicts by'):
        build('KD', 'LinearClsHead', student=student)
    model = build('KD', 'LinearClsHead', student=dict(config=student, taps=dict(logits='head.fc')))
    assert float(model(*batch(), mode='loss')['loss_student_from_teacher']) > 0
