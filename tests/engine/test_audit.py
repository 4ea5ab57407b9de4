"""The audit of first steps: what would train on silently wrong is refused, and every shipped method passes."""

import copy

import pytest
import torch
from mmengine.optim import OptimWrapper
from torch import nn

from shake_mm.engine.audit import StepAudit
from shake_mm.errors import UsageError
from shake_mm.registry import MODELS

from .test_lifecycle import COCO, DETECTORS, FAMILIES, OTHERS, batch, distiller, family, load, shadowed


def audited(model, batches):
    """What the audit says of the first step of every stage."""
    model.train()
    wrapper = OptimWrapper(torch.optim.SGD(model.parameters(), lr=1e-4))
    told = []
    for stage in range(len(model.stages)):
        model.enter_stage(stage)
        model.enter_epoch(stage)
        audit = StepAudit(model, told.append)
        try:
            model.train_step(copy.deepcopy(batches[0]), wrapper)
        finally:
            audit.close()
        told += audit.missing.values()
    assert not any(term._forward_hooks or term._forward_pre_hooks for term in model.terms.values())
    return told


@pytest.mark.parametrize('name', FAMILIES)
def test_the_first_steps_of_a_family_pass(name):
    assert audited(*family(name)) == []


@pytest.mark.slow
@pytest.mark.parametrize('name', OTHERS)
def test_the_first_steps_of_every_other_family_pass(name):
    assert audited(*family(name)) == []


@pytest.mark.parametrize('kind', DETECTORS)
def test_the_first_step_of_a_detector_passes(kind):
    assert audited(*shadowed(kind)) == []


@pytest.mark.slow
@pytest.mark.parametrize('name', COCO)
def test_the_first_step_of_a_detector_of_coco_passes(name):
    assert audited(distiller(load(name)), [batch()]) == []


def resnet(width, **backbone):
    return dict(
        type='ImageClassifier',
        backbone=dict(
            type='ResNet', depth=18, stem_channels=width, base_channels=width, num_stages=2, strides=(1, 2),
            dilations=(1, 1), out_indices=(1,), **backbone,
        ),
        neck=dict(type='GlobalAveragePooling'),
        head=dict(type='LinearClsHead', num_classes=5, in_channels=2 * width, loss=dict(type='CrossEntropyLoss')),
        data_preprocessor=dict(type='ClsDataPreprocessor', num_classes=5),
    )  # fmt: skip


def hinted(tap, batch, **backbone):
    """A student with a hint at one of its taps, and a batch."""
    layer = tap.partition('.')[2]
    teacher = MODELS.build(resnet(4))
    model = MODELS.build(
        dict(
            type='shake_mm.Distiller',
            student=resnet(4, **backbone),
            teachers=dict(config=teacher),
            terms=dict(
                task=dict(of='student'),
                hint=dict(
                    of=tap,
                    to=f'teacher0.{layer}',
                    connector=dict(type='shake_mm.ConvRegressor'),
                    loss=dict(type='shake_mm.MSELoss'),
                ),
            ),
        )
    )
    inputs, samples = batch()
    return model, [dict(inputs=inputs, data_samples=samples)]


class TestGradients:
    def test_a_hint_inside_a_checkpointed_block_is_refused(self, batch):
        model, batches = hinted('student.backbone.layer2.1.conv1', batch, with_cp=True)
        before = copy.deepcopy(model.state_dict())
        with pytest.raises(UsageError, match=r'terms.hint: .* student.backbone.layer2.1.conv1.*with_cp=False'):
            audited(model, batches)
        moved = [key for key, value in model.named_parameters() if not torch.equal(value, before[key])]
        assert moved == []
        assert not any(term._forward_hooks for term in model.terms.values())

    @pytest.mark.parametrize('tap', ['student.backbone.layer2', 'student.backbone.layer2.1'])
    def test_the_output_of_a_checkpointed_block_passes(self, tap, batch):
        assert audited(*hinted(tap, batch, with_cp=True)) == []

    def test_without_checkpoints_the_hint_passes(self, batch):
        assert audited(*hinted('student.backbone.layer2.1.conv1', batch)) == []

    def test_a_tap_that_is_computed_of_several_passes(self, batch):
        """What a block adds up before its ReLU: the loss and the audit look at one and the same tensor."""
        assert audited(*hinted('student.f1.preact', batch)) == []

    def test_a_hint_before_all_trained_layers_is_refused(self, batch):
        model, batches = hinted('student.backbone.layer1', batch, frozen_stages=1)
        with pytest.raises(UsageError, match='terms.hint: no layer up to student.backbone.layer1 is trained'):
            audited(model, batches)
        assert audited(*hinted('student.backbone.layer2', batch, frozen_stages=1)) == []

    def test_a_loss_that_detaches_is_told(self, batch):
        model, batches = hinted('student.backbone.layer2', batch)
        model.terms['hint'].loss = Detaching()
        assert ['terms.hint: its loss (Detaching) sends no gradient'] == [
            text.split(' to student')[0] for text in audited(model, batches)
        ]

    def test_a_term_of_what_a_stage_does_not_train_is_warned_of(self, make_classifier, trained, batch):
        teacher = make_classifier(8)
        config = dict(
            type='shake_mm.SHAKE',
            student=make_classifier(6),
            teachers=dict(config=teacher, checkpoint=trained(teacher)),
            stages=dict(head=dict(until=1, train=['proxies']), main=dict()),
        )
        inputs, samples = batch()
        told = audited(MODELS.build(config), [dict(inputs=inputs, data_samples=samples)])
        assert [text.split(' ')[0] for text in told] == ['terms.student_from_proxy']


class Detaching(nn.Module):
    def forward(self, preds, target):
        return (preds.detach() - target).square().mean() + 0 * preds.detach().sum()


def lenet(num_classes=5):
    return dict(
        type='ImageClassifier',
        backbone=dict(type='LeNet5', num_classes=num_classes),
        head=dict(type='ClsHead', loss=dict(type='CrossEntropyLoss')),
        data_preprocessor=dict(type='ClsDataPreprocessor', num_classes=num_classes),
    )


class TestNetworks:
    def gray(self):
        from mmpretrain.structures import DataSample

        return [dict(inputs=torch.randn(4, 1, 32, 32), data_samples=[DataSample().set_gt_label(i) for i in range(4)])]

    def build(self, **changes):
        config = dict(type='shake_mm.SHAKE', student=lenet(), teachers=dict(config=MODELS.build(lenet())), **changes)
        return MODELS.build(config)

    def test_a_shadow_that_is_the_student_is_refused(self):
        try:
            model = self.build()
        except UsageError as error:  # refused as early as when it is built
            assert 'ShadowNetwork' in str(error)
            return
        with pytest.raises(UsageError, match='proxy0: its logits are the student.*ShadowNetwork'):
            audited(model, self.gray())

    def test_a_network_of_its_own_passes(self):
        assert audited(self.build(proxies=dict(type='ShadowNetwork')), self.gray()) == []

    def test_a_peer_without_layers_in_its_head_passes(self):
        model = MODELS.build(dict(type='shake_mm.DML', student=lenet(), teachers=dict(config=lenet(), trainable=True)))
        assert audited(model, self.gray()) == []
