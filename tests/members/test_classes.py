"""Classes by their names: a teacher whose classes stand in another order, or are more, teaches as one of the same."""

import copy

import pytest
import torch
from mmengine.runner import Runner

from shake_mm.checks import build_runner
from shake_mm.engine import MemberPredictor
from shake_mm.errors import UsageError
from shake_mm.members.classes import ClassMap, check_order, names_in
from shake_mm.registry import MODELS
from tests.conftest import classifier
from tests.support.detectors import detector, lively, scenes
from tests.support.runs import run_config

NAMES = [f'{label:02d}' for label in range(100)]


def test_names_in_checkpoints_and_data_sets():
    assert names_in(dict(dataset_meta=dict(CLASSES=['a', 'b'], palette=[1]))) == ('a', 'b')
    assert names_in(dict(CLASSES=('a',))) == names_in(dict(classes=['a'])) == ('a',)
    assert names_in(dict(dataset_meta=None, classes=3)) is names_in(None) is None


def test_selected_are_the_classes_of_each_prior_and_the_background():
    """Two priors of three classes and a background."""
    mapped = ClassMap('teacher0', ['Cat', 'dog', 'cow'], 2, 4)
    mapped.fit(['cow', 'cat'], 'data')
    logits = torch.arange(8.0).view(1, 8, 1, 1)
    assert mapped.take([logits])[0].flatten().tolist() == [2, 0, 3, 6, 4, 7]
    same = ClassMap('teacher0', ['crane', 'crane'], 2, 2)
    same.fit(['crane', 'crane'], 'data')
    assert same.take(torch.tensor([[1.0, 2.0]])).tolist() == [[1, 2]]


@pytest.mark.parametrize(
    ('theirs', 'mine', 'message'),
    [
        (['a', 'b'], None, "names no classes: give it metainfo's `classes`"),
        (['a', 'b'], ['a'], 'names 1 classes and the student has 2'),
        (['a', 'b', 'c'], ['a', 'x'], "knows no class 'x'"),
        (['a', 'b', 'a'], ['a', 'b'], "knows the class 'a' 2 times"),
    ],
)
def test_what_cannot_be_matched(theirs, mine, message):
    with pytest.raises(UsageError, match=message):
        ClassMap('teacher0', theirs, 2, len(theirs)).fit(mine, 'train_dataloader.dataset')


def test_another_order_is_refused_and_other_names_are_told(monkeypatch):
    said = []
    monkeypatch.setattr('shake_mm.members.classes.print_log', lambda text, *args: said.append(text))
    for mine in (['a', 'b'], ['A', 'B '], None):
        check_order('teacher0', ['a', 'b'], mine, 'data')
    assert not said
    with pytest.raises(UsageError, match="class 0 is 'a' in its checkpoint and 'b' in data.*set classes='by_name'"):
        check_order('teacher0', ['a', 'b'], ['b', 'a'], 'data')
    check_order('teacher0', ['n01', 'n02'], ['tench', 'goldfish'], 'data')
    assert "'n01'" in said[0] and 'by_name' in said[0]


@pytest.fixture
def teachers(tmp_path):
    """Files of one teacher: as it is, with its classes in another order, and among others that nobody knows."""

    def teachers(config, rows):
        torch.manual_seed(1)
        network = MODELS.build(copy.deepcopy(config))
        state = {key: value + 0.1 * torch.randn(value.shape) for key, value in network.state_dict().items()}
        paths = {}
        for kind, extra in (('same', 0), ('other', 0), ('more', 20)):
            classes = config_classes(config)
            order = torch.randperm(classes + extra) if kind != 'same' else torch.arange(classes)
            names = [*NAMES[:classes], *(f'unknown{i}' for i in range(extra))]
            moved = {key: rows(key, value, order) for key, value in state.items()}
            meta = dict(dataset_meta=dict(CLASSES=[names[i] for i in order]))
            torch.save(dict(state_dict=moved, meta=meta), tmp_path / f'{kind}.pth')
            paths[kind] = str(tmp_path / f'{kind}.pth')
        return paths

    return teachers


def config_classes(config):
    return (config.get('head') or config.get('bbox_head'))['num_classes']


def rows_of_head(key, value, order):
    if not key.startswith('head.'):
        return value
    grown = torch.cat([value, torch.randn(len(order) - len(value), *value.shape[1:])])
    return grown[order]


@pytest.fixture
def entry(teachers):
    config = classifier(8, classes=100)
    paths = teachers(config, rows_of_head)

    def entry(kind, **spec):
        own = copy.deepcopy(config)
        own['head']['num_classes'] += 20 * (kind == 'more')
        return dict(config=own, checkpoint=paths[kind], **spec)

    return entry


def trained_with(entry, path, method='shake_mm.KD'):
    """From given weights of the student: another number of classes draws other ones."""
    (path / 'work').mkdir(parents=True, exist_ok=True)
    model = dict(type=method, student=classifier(6, classes=100), teachers=entry)
    cfg = run_config(model, path / 'work', samples=32)
    if method == 'shake_mm.KD':
        torch.manual_seed(5)
        student = MODELS.build(copy.deepcopy(model['student']))
        torch.save(dict(state_dict=student.state_dict()), path / 'student.pth')
        cfg.load_from = str(path / 'student.pth')
    cfg.custom_hooks += [dict(type='shake_mm.TeacherCacheHook'), dict(type='EMAHook')]
    return cfg


def results(cfg):
    """The student's weights in the end, and what the validation says of the members."""
    runner = build_runner(cfg, 'train')
    runner.train()
    scalars = runner.message_hub.log_scalars
    members = {key: history.current() for key, history in scalars.items() if 'teacher' in key or 'gap' in key}
    return runner, {key: value for key, value in runner.model.state_dict().items()}, members


@pytest.mark.parametrize(
    ('kind', 'method', 'tool'), [('other', 'SHAKE', True), ('more', 'KD', True), ('more', 'KD', False)]
)
def test_a_teacher_by_names_teaches_as_one_of_the_same_order(kind, method, tool, entry, tmp_path):
    """By our command, and by a plain Runner, where StageHook matches them."""
    _, same, told = results(trained_with(entry('same'), tmp_path / 'same', f'shake_mm.{method}'))
    cfg = trained_with(entry(kind, classes='by_name'), tmp_path / kind, f'shake_mm.{method}')
    if tool:
        runner, state, members = results(cfg)
        assert {key: pytest.approx(value, abs=1e-4) for key, value in told.items()} == members
    else:
        runner = Runner.from_cfg(cfg)
        runner.train()
        state = runner.model.state_dict()
    for key, value in same.items():
        torch.testing.assert_close(state[key], value, rtol=1e-5, atol=1e-6)


def test_a_cache_holds_all_logits_whatever_the_student_knows(entry, tmp_path):
    views = [dict(type='shake_mm.RandomView'), dict(type='PackInputs', meta_keys=('sample_idx', 'view_idx'))]
    states = []
    for kind, spec in (('same', {}), ('more', dict(classes='by_name')), ('more', dict(classes='by_name'))):
        cfg = trained_with(entry(kind, cache=str(tmp_path / kind / 'cache'), **spec), tmp_path / f'{kind}{len(states)}')
        cfg.train_dataloader.dataset.pipeline = views
        states.append(results(cfg)[1])
    assert all(torch.equal(states[1][key], states[2][key]) for key in states[0])
    for key, value in states[0].items():
        torch.testing.assert_close(states[1][key], value, rtol=1e-5, atol=1e-6)


def test_predictions_of_such_a_teacher_are_of_the_students_classes(entry, batch):
    inputs, samples = batch(n=3, classes=100, size=16)
    scores = []
    for kind, spec in (('same', {}), ('more', dict(classes='by_name'))):
        model = MODELS.build(trained_model(entry(kind, **spec)))
        model.members.fit_classes(NAMES, 'data', ())
        predicted = MemberPredictor(model, 'teacher0').evaluate(inputs, copy.deepcopy(samples))
        scores.append(torch.stack([sample.pred_score for sample in predicted]))
    torch.testing.assert_close(scores[0], scores[1])


def trained_model(entry, **model):
    return dict(type='shake_mm.KD', student=classifier(6, classes=100), teachers=entry, **model)


def test_without_the_key_another_order_is_refused(entry, tmp_path):
    with pytest.raises(UsageError, match="teacher0: class 0 is '..' in its checkpoint.*classes='by_name' in the entry"):
        build_runner(trained_with(entry('other'), tmp_path), 'train')
    with pytest.raises(UsageError, match="teacher0 has 120 classes and the student has 100.*classes='by_name'"):
        build_runner(trained_with(entry('more'), tmp_path), 'train')


def test_where_no_term_reads_logits_the_classes_do_not_matter(entry, tmp_path):
    hint = dict(of='student.f2', to='teacher0.f2', connector=dict(type='ConvRegressor'), loss=dict(type='FitNetsLoss'))
    for kind, compared in (('other', True), ('more', False)):
        cfg = trained_with(entry(kind), tmp_path / kind, 'shake_mm.Distiller')
        cfg.model.terms = dict(task=dict(of='student'), hint=hint)
        runner, _, members = results(cfg)
        assert runner.iter > 0 and runner.message_hub.get_scalar('train/loss_hint').current() > 0
        assert bool(members) == compared  # 120 classes are not measured on data of 100


@pytest.mark.parametrize(
    ('kind', 'spec', 'message'),
    [
        ('more', dict(classes='name'), "classes='name' must be 'by_name', or the names"),
        ('more', dict(classes=NAMES), '100 names of classes for 120 logits'),
        ('other', dict(classes='by_name', trainable=True), '`classes` is for frozen teachers'),
    ],
)
def test_entries_that_cannot_be_meant(kind, spec, message, entry):
    with pytest.raises(UsageError, match=message):
        MODELS.build(trained_model(entry(kind, **spec)))


def test_names_may_be_listed(entry, tmp_path):
    names = names_in(torch.load(entry('more')['checkpoint'])['meta'])
    own = entry('more', classes=list(names))
    checkpoint = torch.load(own['checkpoint'])
    torch.save({**checkpoint, 'meta': {}}, own['checkpoint'])
    results(trained_with(own, tmp_path))
    with pytest.raises(UsageError, match='does not name its classes: list them'):
        MODELS.build(trained_model({**own, 'classes': 'by_name'}))


SOFTMAX = dict(loss_cls=dict(type='CrossEntropyLoss', use_sigmoid=False))


@pytest.mark.parametrize(('kind', 'head'), [('retinanet', {}), ('retinanet', SOFTMAX), ('fcos', {})])
def test_dense_detectors(kind, head, tmp_path):
    """The losses with a teacher whose classes were moved are those with the teacher itself."""
    small, large = detector(kind, **head), detector(kind, classes=8, **head)
    network = lively(large, 3)
    order = [6, 2, 7, 0, 4]
    path = str(tmp_path / 'teacher.pth')
    names = [f'thing{i}' for i in range(8)]
    torch.save(dict(state_dict=network.state_dict(), meta=dict(CLASSES=names)), path)
    entry = dict(config=large, checkpoint=path, classes='by_name')
    model = MODELS.build(dict(type='shake_mm.KD', student=small, teachers=entry)).eval()
    model.members.fit_classes([f'thing{i}' for i in order], 'data', ())
    data = model.data_preprocessor(scenes(2), True)
    teacher = model.members.frozen['teacher0']
    with model.taps.recording() as taps, torch.no_grad():
        teacher.forward_head(teacher(data['inputs']), taps)
        taken = taps.value('teacher0.logits')
        plain, *_ = teacher.network.bbox_head(teacher(data['inputs']))
    background = [8] if head else []
    every, channels = [*order, *background], 8 + len(background)
    for level, full in zip(taken, plain):
        priors = full.shape[1] // channels
        expected = [full[:, prior * channels + place] for prior in range(priors) for place in every]
        assert torch.equal(level, torch.stack(expected, 1))
    losses = model.train()(**data, mode='loss')
    assert all(torch.isfinite(torch.as_tensor(v)).all() for k, v in losses.items() if 'teacher' in k)


def test_box_regressors_of_each_class_are_refused(tmp_path):
    network = MODELS.build(detector('faster_rcnn'))
    path = str(tmp_path / 'teacher.pth')
    torch.save(dict(state_dict=network.state_dict(), meta=dict(CLASSES=list('abcde'))), path)
    entry = dict(config=detector('faster_rcnn'), checkpoint=path, classes='by_name')
    with pytest.raises(UsageError, match='FasterRCNN has a box regressor for each class'):
        MODELS.build(dict(type='shake_mm.KD', student=detector('faster_rcnn'), teachers=entry))
