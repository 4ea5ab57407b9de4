"""Teachers in several runs at once: what is handed over, against a live teacher."""

import copy
import os
import threading

import pytest
import torch

from shake_mm.errors import UsageError
from shake_mm.members import Group, make_group, share_teachers
from shake_mm.registry import MODELS
from tests.conftest import classifier
from tests.support.detectors import detector, lively, scenes

BOXES = dict(of='student.boxes', to='teacher0.boxes', loss=dict(type='DenseBoxLoss'))
FEATURE = dict(of='student.f2', to='teacher0.f2', loss=dict(type='MSELoss'))


@pytest.fixture
def share(tmp_path):
    """Put models into a group, as if each were in a run of its own."""
    handles = []

    def share(*models):
        handles.extend(make_group(tmp_path, [f'run {i}' for i in range(len(models))]))
        shared, failures = {}, []

        def join(number, model):
            try:
                group = Group(str(tmp_path / str(number)))
                shared[number] = share_teachers(model.members, model.taps, group)
            except UsageError as error:
                failures.append(error)

        threads = [threading.Thread(target=join, args=item) for item in enumerate(models)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(60)
        if failures:
            raise failures[0]
        return [shared[number] for number in range(len(models))]

    yield share
    for handle in handles:
        os.close(handle)


def step(model, data, members=(), at=0):
    """The losses and gradients of a step."""
    torch.manual_seed(0)
    model.zero_grad()
    batch = model.data_preprocessor(copy.deepcopy(data), True)
    for member in members:
        member.step = at
    losses = model(**batch, mode='loss')
    for member in members:
        member.step = None
    total, _ = model.parse_losses(losses)
    total.backward()
    return [total, *(p.grad for p in model.parameters() if p.grad is not None)]


def of_detectors(kind, teacher, **changes):
    model = MODELS.build(dict(type='shake_mm.KD', student=lively(detector(kind), 2), teachers=teacher, **changes))
    return model.train()


@pytest.mark.parametrize(
    ('kind', 'further'),
    [('retinanet', dict(boxes=BOXES)), ('retinanet', dict(hint=FEATURE)), ('faster_rcnn', dict(hint=FEATURE))],
)
def test_detectors_share_all_that_any_of_them_reads(kind, further, share):
    """One student reads logits, the other one boxes or a feature too; of Faster R-CNN, boxes are each student's own."""
    teacher = lively(detector(kind, width=8), 1)
    models = [of_detectors(kind, copy.deepcopy(teacher), **changes) for changes in ({}, dict(terms=further))]
    data = scenes()
    wanted = [step(model, data) for model in models]
    shared, passes = share(*models), []
    for model in models:
        model.members.frozen['teacher0'].network.backbone.register_forward_pre_hook(lambda *_: passes.append(1))
    for at, order in enumerate(((0, 1), (1, 0))):
        for number in order:
            found = step(models[number], data, shared[number], at)
            assert all(torch.equal(ours, theirs) for ours, theirs in zip(found, wanted[number], strict=True))
        assert len(passes) == at + 1


def of_classifiers(teachers, student=6, **changes):
    model = dict(type='shake_mm.SHAKE', student=classifier(student, 100), teachers=teachers, **changes)
    torch.manual_seed(0)
    built = MODELS.build(copy.deepcopy(model))
    built.init_weights()
    return built.train()


@pytest.fixture
def teachers(trained):
    return [dict(config=classifier(8, 100), checkpoint=trained(classifier(8, 100), f't{i}.pth', i)) for i in (1, 2)]


def test_teachers_are_known_by_their_weights(teachers, share, batch):
    """Under another number too; one that is in a single run is computed there."""
    models = [of_classifiers(teachers), of_classifiers(teachers[1], 4)]
    inputs, samples = batch(classes=100, size=16)
    data = dict(inputs=(inputs * 50).byte(), data_samples=samples)
    wanted = [step(model, data) for model in models]
    shared, passes = share(*models), []
    for number, model in enumerate(models):
        for name, member in model.members.frozen.items():
            note = lambda *_, key=(number, name): passes.append(key)  # noqa: E731
            member.network.backbone.register_forward_pre_hook(note)
    for number, model in enumerate(models):
        found = step(model, data, shared[number])
        assert all(torch.equal(ours, theirs) for ours, theirs in zip(found, wanted[number], strict=True))
    assert passes == [(0, 'teacher0'), (0, 'teacher1')]
    before = len(passes)
    models[1].members.frozen['teacher0'](inputs)  # in evaluation, between steps
    assert len(passes) == before + 1


def test_a_teacher_that_chooses_its_way_is_refused(teachers, share):
    with pytest.raises(UsageError, match="teacher0: inference='auto' may take another way in each of the runs"):
        share(of_classifiers({**teachers[0], 'inference': 'auto'}))


def test_a_cached_teacher_is_refused(teachers, share, tmp_path):
    with pytest.raises(UsageError, match='teacher0: its logits are looked up, so that there is no pass to share'):
        share(of_classifiers({**teachers[0], 'cache': str(tmp_path / 'cache')}))


def test_only_plain_values_and_images_are_handed_over(teachers, share, batch):
    model = of_classifiers(teachers[0])
    (member,) = share(model)[0]
    member.step = 0
    with pytest.raises(UsageError, match='teacher0: only a teacher of images can be shared'):
        member({'ids': torch.zeros(2)})
    member.network.head.register_forward_hook(lambda module, args, output: {1, 2}, prepend=True)
    sentence = r'teacher0\.head.* holds a set, which runs cannot hand each other'
    with model.taps.recording(), pytest.raises(UsageError, match=sentence):
        member(batch(size=16)[0])
