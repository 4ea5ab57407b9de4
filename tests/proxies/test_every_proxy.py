"""What holds for every proxy, whatever it is made of: whom its terms train, what is saved, what is left of it."""

import copy
from typing import NamedTuple

import pytest
import torch

from shake_mm.registry import MODELS

from ..support.detectors import detector, lively, scenes
from .test_shadow_token import deit


class Case(NamedTuple):
    """A proxy and the student that it goes with.

    Args:
        proxy: Its config.
        own: Prefix of the parameters that are the proxy's alone.
        head: Prefix of the parameters of the student's head, which belong to the student alone.
        student: Makes the student's entry; None stands for a small ResNet.
        body: Whether the proxy's terms reach the student's body.
        detects: Whether the student is a detector.
    """

    proxy: dict
    own: str = 'proxies.'
    head: str = 'student.head.'
    student: dict | None = None
    body: bool = True
    detects: bool = False

    def data(self, model, batch):
        """A batch that the model takes."""
        data = model.data_preprocessor(scenes(), True) if self.detects else None
        return (data['inputs'], data['data_samples']) if data else batch()

    def scores(self, samples):
        """What is predicted, by image."""
        return [sample.pred_instances.scores if self.detects else sample.pred_score for sample in samples]


CASES = {
    'ShadowBranch': Case(dict(type='ShadowBranch')),
    'ShadowHead': Case(dict(type='ShadowHead')),
    'ShadowNetwork': Case(dict(type='ShadowNetwork'), body=False),
    'ShadowSubnet': Case(dict(type='ShadowSubnet', width=0.5)),
    'ShadowToken': Case(
        dict(type='ShadowToken'),
        own='student.head.layers.head_dist.',
        head='student.head.layers.head.',
        student=dict(config=deit(), taps=dict(logits='head.layers.head')),
    ),
    'ShadowTower': Case(
        dict(type='ShadowTower'),
        head='student.bbox_head.retina_cls.',
        student=dict(config=detector('retinanet', stacked_convs=2)),
        detects=True,
    ),
    'SparseShadow': Case(
        dict(type='SparseShadow'),
        head='student.bbox_head.retina_cls.',
        student=dict(config=detector('retinanet', stacked_convs=2)),
        detects=True,
    ),
    'TeacherFusion': Case(dict(type='TeacherFusion'), body=False),
}
every_proxy = pytest.mark.parametrize('name', CASES)


@pytest.fixture
def build(make_classifier, trained):
    teacher = make_classifier(8)
    checkpoint = trained(teacher)

    def build(name, seed=0):
        case = CASES[name]
        config = dict(
            type='shake_mm.SHAKE',
            student=copy.deepcopy(case.student) or make_classifier(6),
            teachers=dict(config=teacher, checkpoint=checkpoint),
            proxies=case.proxy,
            input_size=8,
        )
        if case.detects:
            config.update(teachers=lively(detector('retinanet', width=6)), input_size=64)
        elif case.student:  # mmpretrain cannot train DeiT's head: the task is a term of the class token's logits
            config['terms'] = dict(task=dict(of='student.logits', loss=dict(type='mmpretrain.CrossEntropyLoss')))
        torch.manual_seed(seed)
        model = MODELS.build(config)
        model.init_weights()
        for parameter in model.parameters():
            parameter.data.add_(0.2 * torch.randn_like(parameter))
        return model.train()

    return build


def reached(model, losses, key):
    """Names of the parameters that a loss trains."""
    gradients = torch.autograd.grad(losses[key], list(model.parameters()), retain_graph=True, allow_unused=True)
    return {name for (name, _), g in zip(model.named_parameters(), gradients) if g is not None and g.abs().sum() > 0}


@every_proxy
def test_no_term_trains_what_is_not_its_own(build, batch, name):
    case, model = CASES[name], build(name)
    losses = model(*case.data(model, batch), mode='loss')
    student = reached(model, losses, 'loss_student_from_proxy')
    assert any(key.startswith(case.head) for key in student)
    assert not any(key.startswith(case.own) for key in student)
    for key in ('loss_proxy_from_teacher', 'loss_proxy_from_student'):
        proxy = reached(model, losses, key)
        assert any(key.startswith(case.own) for key in proxy)
        assert not any(key.startswith(case.head) for key in proxy)
        assert any(key.startswith('student.backbone.') for key in proxy) == case.body


@every_proxy
def test_it_learns_from_the_teacher_which_is_not_saved(build, batch, name):
    model = build(name)
    inputs, samples = CASES[name].data(model, batch)
    before = {key: value.clone() for key, value in model.state_dict().items()}
    optimizer = torch.optim.SGD(model.parameters(), lr=0.0001 if CASES[name].detects else 0.1)
    first = model(inputs, samples, mode='loss')['loss_proxy_from_teacher']
    for _ in range(20):
        optimizer.zero_grad()
        losses = model(inputs, samples, mode='loss')
        model.parse_losses(losses)[0].backward()
        optimizer.step()
    assert losses['loss_proxy_from_teacher'] < first
    after = model.state_dict()
    assert any(not torch.equal(after[key], before[key]) for key in before if key.startswith(CASES[name].own))
    assert not any('teacher' in key.split('.')[0] for key in after)


@every_proxy
def test_saved_and_loaded_it_goes_on_as_before(build, batch, name):
    model, other = build(name), build(name, seed=1)
    data = CASES[name].data(model, batch)
    state = copy.deepcopy(model.state_dict())
    wanted = model(*copy.deepcopy(data), mode='loss')
    assert any(not torch.equal(value, state[key]) for key, value in other.state_dict().items())
    assert not any(other.load_state_dict(state))
    found = other(*copy.deepcopy(data), mode='loss')
    assert found.keys() == wanted.keys()
    for key, value in wanted.items():
        torch.testing.assert_close(found[key], value, rtol=0, atol=0)


@every_proxy
def test_a_copy_is_a_model_of_its_own(build, batch, name):
    """As an EMA hook makes one."""
    model = build(name)
    data = CASES[name].data(model, batch)
    twin = copy.deepcopy(model)
    mine = {parameter.data_ptr() for parameter in model.parameters()}
    assert not mine & {parameter.data_ptr() for parameter in twin.parameters()}
    wanted, found = (m(*copy.deepcopy(data), mode='loss') for m in (model, twin))
    assert all(torch.equal(found[key], value) for key, value in wanted.items() if 'proxy' in key)


@every_proxy
def test_nothing_of_it_is_left_in_inference(build, batch, make_classifier, name):
    """The student's part of the state dict is a plain model, which answers as the distiller does."""
    case, model = CASES[name], build(name).eval()
    plain = MODELS.build(case.student['config'] if case.student else make_classifier(6))
    state = model.state_dict()
    plain.load_state_dict({key.removeprefix('student.'): v for key, v in state.items() if key.startswith('student.')})
    inputs, samples = case.data(model, batch)
    found = model(inputs, copy.deepcopy(samples), mode='predict')
    wanted = plain.eval()(inputs, copy.deepcopy(samples), mode='predict')
    assert all(map(torch.equal, case.scores(found), case.scores(wanted)))
