"""The engine: what runs, what is saved and trained, what is refused when it is built."""

import copy

import pytest
import torch
from torch import nn

from shake_mm.errors import UsageError
from shake_mm.registry import MODELS


@pytest.fixture
def config(make_classifier, trained):
    """A SHAKE config with one teacher."""
    teacher = make_classifier(8)
    return dict(
        type='shake_mm.SHAKE', student=make_classifier(6), teachers=[dict(config=teacher, checkpoint=trained(teacher))]
    )


@pytest.fixture
def model(config):
    model = MODELS.build(config)
    model.init_weights()
    return model


def teacher_of(model):
    return model.members.frozen['teacher0']


def count_calls(module):
    calls = []
    module.register_forward_hook(lambda *args: calls.append(1))
    return calls


def test_one_pass_each(model, batch):
    student, teacher = count_calls(model.student.backbone), count_calls(teacher_of(model).network.backbone)
    shadow = count_calls(model.proxies['proxy0'])
    model.train()(*batch(), mode='loss')
    assert (len(student), len(teacher), len(shadow)) == (1, 1, 1)


def test_no_step_waits_for_its_batch(model, batch, monkeypatch):
    """Images go to the device without the host waiting for the copy, whether their preprocessor can say so or not."""
    waits = []
    to = torch.Tensor.to

    def noted(self, *args, **kwargs):
        if self.dtype == torch.uint8:
            waits.append(not kwargs.get('non_blocking', False))
        return to(self, *args, **kwargs)

    inputs, samples = batch()
    monkeypatch.setattr(torch.Tensor, 'to', noted)
    model.data_preprocessor({'inputs': inputs.byte(), 'data_samples': samples}, training=True)
    assert waits == [False]


def test_inference_touches_neither_teacher_nor_shadow(model, batch):
    teacher, shadow = count_calls(teacher_of(model).network.backbone), count_calls(model.proxies['proxy0'])
    inputs, samples = batch()
    model.eval()
    model(inputs, mode='tensor')
    model(inputs, samples, mode='predict')
    model.val_step({'inputs': inputs, 'data_samples': samples})
    model.test_step({'inputs': inputs, 'data_samples': samples})
    assert not teacher and not shadow


def test_predictions_are_the_students(model, batch):
    inputs, _ = batch()
    model.eval()
    torch.testing.assert_close(model(inputs, mode='tensor'), model.student(inputs, mode='tensor'), rtol=0, atol=0)


def test_a_teacher_is_not_run_for_the_baseline(config, batch):
    config.update(type='shake_mm.Baseline')
    model = MODELS.build(config)
    calls = count_calls(teacher_of(model).network.backbone)
    assert list(model(*batch(), mode='loss')) == ['student.loss'] and not calls


def test_the_teacher_is_hidden_from_state_and_optimizer(model):
    hidden = {id(p) for p in teacher_of(model).parameters()}
    assert hidden and not hidden & {id(p) for p in model.parameters()}
    assert {key.split('.')[0] for key in model.state_dict()} == {'student', 'proxies'}


def test_the_teacher_stays_in_evaluation_mode_without_gradients(make_classifier, trained, batch):
    teacher = make_classifier(8)
    network = MODELS.build(copy.deepcopy(teacher))
    network.head.dropout = nn.Dropout(0.5)
    model = MODELS.build(dict(type='shake_mm.KD', student=make_classifier(6), teachers=[network]))
    model.train()
    assert not any(module.training for module in teacher_of(model).modules())
    assert teacher_of(model).train() is teacher_of(model)
    stats = {k: v.clone() for k, v in network.named_buffers()}
    model.train()(*batch(), mode='loss')['loss_student_from_teacher'].backward()
    assert all(p.grad is None for p in network.parameters())
    assert all(torch.equal(v, stats[k]) for k, v in network.named_buffers())


def test_the_teacher_follows_dtype_and_is_not_initialized_again(model):
    before = teacher_of(model).network.head.fc.weight.clone()
    model.init_weights()
    torch.testing.assert_close(teacher_of(model).network.head.fc.weight, before, rtol=0, atol=0)
    assert teacher_of(model.double()).network.head.fc.weight.dtype == torch.float64
    assert teacher_of(model.half()).network.head.fc.weight.dtype == torch.float16
    assert teacher_of(model.to(torch.float32)).network.head.fc.weight.dtype == torch.float32
    assert teacher_of(model.to('meta')).network.head.fc.weight.device.type == 'meta'


def test_deep_copies_work_between_steps(model, batch):
    x = batch()
    model.train()
    first = model(*x, mode='loss')
    other = copy.deepcopy(model)
    # The copy starts from the same BatchNorm statistics, and training mode does not read them: losses must agree.
    second = other(*x, mode='loss')
    assert first.keys() == second.keys()
    for key in first:
        torch.testing.assert_close(first[key], second[key])
    assert other.taps is not model.taps and other.student.head is not model.student.head
    third = model(*x, mode='loss')
    torch.testing.assert_close(third['loss'] if 'loss' in third else third['student.loss'], first['student.loss'])


def test_nothing_is_kept_after_a_step(model, batch):
    model.train()(*batch(), mode='loss')
    assert not model.taps._computed and all(not recorder.values for recorder in model.taps._recorders.values())


def test_shadow_is_not_a_copy_of_the_head(model):
    assert not torch.equal(model.student.head.fc.weight, model.proxies['proxy0'].head.fc.weight)


def test_a_plain_checkpoint_of_the_student_starts_a_run(model, make_classifier, trained):
    from mmengine.runner import load_checkpoint

    path = trained(make_classifier(6), 'student.pth', seed=9)
    load_checkpoint(model, path)
    state = torch.load(path, weights_only=True)['state_dict']
    for key, value in model.student.state_dict().items():
        torch.testing.assert_close(value, state[key], rtol=0, atol=0)


def test_a_distilled_checkpoint_loads_unchanged(model, config, tmp_path):
    from mmengine.runner import load_checkpoint

    torch.save({'state_dict': model.state_dict(), 'meta': {}}, tmp_path / 'x.pth')
    other = MODELS.build(config)
    load_checkpoint(other, str(tmp_path / 'x.pth'), strict=True)
    assert all(torch.equal(v, other.state_dict()[k]) for k, v in model.state_dict().items())


def test_load_from_another_network_is_an_error(model, tmp_path):
    from mmengine.runner import load_checkpoint

    torch.save({'state_dict': {'stem.weight': torch.zeros(3)}}, tmp_path / 'x.pth')
    with pytest.raises(UsageError, match='another network'):
        load_checkpoint(model, str(tmp_path / 'x.pth'))


def test_trained_members(config, batch):
    """DML: the teacher is a trained peer with a loss of its own."""
    kl = dict(type='KLDivLoss', tau=4.0)
    config['teachers'][0].update(trainable=True)
    config.update(
        type='shake_mm.KD',
        terms=dict(peer=dict(of='teacher0'), back=dict(of='teacher0.logits', to='student.logits', loss=kl)),
    )
    model = MODELS.build(config)
    start = torch.load(config['teachers'][0]['checkpoint'], weights_only=True)['state_dict']
    model.init_weights()
    assert torch.equal(model.peers['teacher0'].head.fc.weight, start['head.fc.weight'])
    losses = model.train()(*batch(), mode='loss')
    assert list(losses) == ['student.loss', 'loss_student_from_teacher', 'teacher0.loss', 'loss_back']
    sum(losses.values()).backward()
    assert all(p.grad is not None for p in model.parameters())


def test_stages_switch_terms_and_trained_parameters(config, batch):
    config.update(
        stages=[
            dict(until=2, terms=['proxy_from_teacher'], train=['proxies']),
            dict(terms=['task', 'student_from_proxy'], train=['student']),
        ]
    )
    model = MODELS.build(config)
    with pytest.raises(UsageError, match='StageHook'):
        model(*batch(), mode='loss')
    assert model.enter_stage(0) and not model.enter_stage(0)
    losses = model(*batch(), mode='loss')
    assert list(losses) == ['loss_proxy_from_teacher']
    sum(losses.values()).backward()
    trained = {n for n, p in model.named_parameters() if p.grad is not None}
    assert trained == {n for n, p in model.named_parameters() if n.startswith('proxies')}
    assert model.enter_stage(1)
    assert all(p.grad is None for p in model.parameters())
    losses = model(*batch(), mode='loss')
    assert list(losses) == ['student.loss', 'loss_student_from_proxy']
    sum(losses.values()).backward()
    assert all((p.grad is not None) == n.startswith('student') for n, p in model.named_parameters())


def test_classes_as_types_in_lazy_configs(config, batch):
    from mmpretrain.models import GlobalAveragePooling, ImageClassifier, LinearClsHead

    from shake_mm.distillers import SHAKE
    from shake_mm.models.backbones import CRDResNet

    for network in (config['student'], config['teachers'][0]['config']):
        network.update(type=ImageClassifier)
        network.pop('_scope_')
        network['backbone']['type'], network['neck']['type'], network['head']['type'] = (
            CRDResNet,
            GlobalAveragePooling,
            LinearClsHead,
        )
    model = MODELS.build({**config, 'type': SHAKE})
    assert len(model(*batch(), mode='loss')) == 4


def refused(config, **changes):
    return MODELS.build({**config, **changes})


@pytest.mark.parametrize(
    'changes, words',
    [
        (
            dict(terms=dict(x=dict(of='student.logits', to='teacher0.lgits', loss=dict(type='KLDivLoss')))),
            'did you mean logits',
        ),
        (
            dict(terms=dict(x=dict(of='student.logits', to='teacher3.logits', loss=dict(type='KLDivLoss')))),
            'its members are',
        ),
        (dict(terms=dict(x=dict(off='student'))), "unknown key 'off'"),
        (dict(terms=dict(x=dict(weight=1.0))), "'of' is missing"),
        (dict(terms=dict(x=dict(of='proxy0'))), 'no loss of its own'),
        (dict(teachers=[]), 'needs a'),
        (dict(stages=[dict(until=3, terms=['nope']), dict()]), "'nope'"),
        (dict(stages=[dict(until=3)]), 'last stage'),
        (dict(stages=[dict(train=['studnt'])]), 'no parameter matches'),
    ],
)
def test_refused_when_built(config, changes, words):
    with pytest.raises(UsageError, match=words):
        refused(config, **changes)


def test_class_counts_must_agree(config, make_classifier, trained):
    teacher = make_classifier(8, classes=7)
    with pytest.raises(UsageError, match='teacher0 has 7 classes and the student has 5'):
        refused(config, teachers=dict(config=teacher, checkpoint=trained(teacher, 'seven.pth')))


def test_a_frozen_teacher_needs_weights(config, make_classifier):
    with pytest.raises(UsageError, match='needs trained weights'):
        refused(config, teachers=make_classifier(8))


def test_student_takes_no_checkpoint(config, make_classifier):
    with pytest.raises(UsageError, match='load_from'):
        refused(config, student=dict(config=make_classifier(6), checkpoint='x.pth'))


def test_a_vision_transformer_student(config, batch):
    """Other kinds of features and heads: a token, a head with layers of its own, layer-wise learning rate decay."""
    from mmpretrain.engine.optimizers import LearningRateDecayOptimWrapperConstructor

    arch = dict(embed_dims=16, num_layers=2, num_heads=2, feedforward_channels=32)
    student = dict(
        type='ImageClassifier',
        backbone=dict(type='VisionTransformer', arch=arch, img_size=8, patch_size=4),
        head=dict(type='VisionTransformerClsHead', num_classes=5, in_channels=16, hidden_dim=12),
    )
    model = MODELS.build({**config, 'student': student})
    model.init_weights()
    losses = model.train()(*batch(), mode='loss')
    assert len(losses) == 4
    sum(losses.values()).backward()
    assert all(p.grad is not None for p in model.parameters())

    constructor = LearningRateDecayOptimWrapperConstructor(
        dict(optimizer=dict(type='SGD', lr=1.0, weight_decay=0.1)), dict(layer_decay_rate=0.5)
    )
    groups = {g['param_name']: g['lr'] for g in constructor(model).optimizer.param_groups}
    assert groups['student.head.layers.head.weight'] == groups['proxies.proxy0.head.layers.head.weight'] == 1.0
    assert groups['student.backbone.layers.0.ln1.weight'] == 0.25
    assert groups['student.backbone.cls_token'] == 0.125
