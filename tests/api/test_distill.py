"""Distillation from Python: modules of timm and of one's own with loaders, configs, and what is refused."""

import copy
import json
import re
from pathlib import Path

import pytest
import torch
from torch import nn
from torch.nn import functional as F
from torch.utils.data import DataLoader, IterableDataset, TensorDataset

import shake_mm
from shake_mm import distill
from shake_mm.errors import UsageError
from shake_mm.registry import MODELS

PAGE = (Path(__file__).resolve().parents[2] / 'docs' / 'python.md').read_text(encoding='utf-8')
FEW = dict(
    train_dataloader=dict(batch_size=16, dataset=dict(num_samples=32)),
    val_dataloader=dict(dataset=dict(num_samples=16)),
)


class Small(nn.Module):
    """A classifier of one's own."""

    def __init__(self, width=4, classes=5, tail=None):
        super().__init__()
        self.body = nn.Sequential(nn.Conv2d(3, width, 3), nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten())
        self.out, self.tail = nn.Linear(width, classes), tail or nn.Identity()

    def forward(self, images):
        return self.tail(self.out(self.body(images)))


def loader(count=32, size=16, shuffle=False):
    torch.manual_seed(0)
    return DataLoader(TensorDataset(torch.randn(count, 3, size, size), torch.randint(0, 5, (count,))), 16, shuffle)


def logged(work):
    """What a run wrote: the rows of its scalars, joined."""
    (path,) = Path(work).rglob('scalars.json')
    return [json.loads(line) for line in path.read_text().splitlines()]


def hooks_of(module):
    return sum(len(layer._forward_hooks) + len(layer._forward_pre_hooks) for layer in module.modules())


@pytest.fixture
def timm():
    return pytest.importorskip('timm')


def test_timm_models_by_shake(timm, tmp_path):
    student, teacher = (timm.create_model(name, num_classes=5) for name in ('test_resnet', 'test_vit'))
    teacher = timm.create_model('test_vit', num_classes=5, img_size=32)
    before = copy.deepcopy(teacher.state_dict()), copy.deepcopy(student.state_dict())
    trained = distill(student, teacher, loader(size=32), loader(16, 32), epochs=1, work_dir=tmp_path)
    assert trained is student and not trained.training and hooks_of(student) == hooks_of(teacher) == 0
    assert all(torch.equal(value, before[0][key]) for key, value in teacher.state_dict().items())
    changed = [key for key, value in student.state_dict().items() if not torch.equal(value, before[1][key])]
    assert {key for key, _ in student.named_parameters()} <= {*changed}
    train, val = logged(tmp_path)
    assert {'student.loss', 'loss_student_from_proxy', 'loss_proxy_from_teacher'} <= train.keys()
    with torch.no_grad():
        images, labels = loader(16, 32).dataset.tensors
        for name, network in (('student', student), ('teacher', teacher)):
            accuracy = 100 * (network(images).argmax(1) == labels).float().mean()
            assert val[f'{name}/top1'] == pytest.approx(float(accuracy))
    assert {'proxy/top1', 'ensemble/top1', 'gap/teacher', 'gap/proxy'} <= val.keys()


def test_it_is_the_sum_that_kd_is(tmp_path):
    """Two steps of SGD, by hand: the cross entropy and the softened divergence of the teacher."""
    torch.manual_seed(1)
    student, teacher, data = Small(), Small(8), loader()
    hand = copy.deepcopy(student)
    optimizer = torch.optim.SGD(hand.parameters(), lr=0.1)
    for images, labels in data:
        p, q = (teacher(images).detach() / 2).softmax(1), (hand(images) / 2).log_softmax(1)
        total = F.cross_entropy(hand(images), labels) + 4 * F.kl_div(q, p, reduction='batchmean')
        optimizer.zero_grad()
        total.backward()
        optimizer.step()
    method = dict(type='KD', tau=2)
    sgd = dict(type='SGD', lr=0.1)
    trained = distill(
        student, teacher, data, method=method, epochs=1, optimizer=sgd, param_scheduler=None, work_dir=tmp_path
    )
    for key, value in hand.state_dict().items():
        torch.testing.assert_close(trained.state_dict()[key], value, rtol=1e-4, atol=1e-6)


def test_a_config_with_another_teacher_and_method(tmp_path):
    trained = distill(
        'shake_mm::kd/kd_resnet14_resnet8_digits100.py',
        dict(config='shake_mm::baseline/resnet14_digits100.py', trainable=True),
        method='DML',
        epochs=1,
        work_dir=tmp_path,
        **FEW,
    )
    train, val = logged(tmp_path)
    assert {'teacher0.loss', 'loss_teacher_from_student'} <= train.keys() and 'accuracy/top1' in val
    assert type(trained).__name__ == 'ImageClassifier' and hooks_of(trained) == 0
    assert trained(torch.zeros(1, 3, 32, 32)).shape == (1, 100)
    saved = torch.load(tmp_path / 'epoch_1.pth', weights_only=False)['state_dict']
    assert all(torch.equal(value, saved[f'student.{key}']) for key, value in trained.state_dict().items())


def test_several_teachers_one_of_a_config_and_a_file(tmp_path):
    torch.save(Small(6).state_dict(), tmp_path / 'bare.pth')
    saved = dict(config=Small(6), checkpoint=str(tmp_path / 'bare.pth'))
    config = dict(type='shake_mm.PlainModel', network=dict(type='torchvision.models.resnet18', num_classes=5))
    torch.save({'state_dict': MODELS.build(config).state_dict()}, tmp_path / 'config.pth')
    other = dict(config=config, checkpoint=str(tmp_path / 'config.pth'))
    distill(Small(), [saved, other, Small(8)], loader(), method='kd', epochs=1, work_dir=tmp_path / 'run')
    assert {f'loss_student_from_teacher{i}' for i in range(3)} <= logged(tmp_path / 'run')[0].keys()


def code_of(page):
    return re.findall(r'```python\n(.*?)```', page, re.S)


def test_the_page(timm, tmp_path, monkeypatch):
    """Every block of docs/python.md, in few steps, and the first in ten lines at most."""
    first, features, config = code_of(PAGE)
    assert len(first.strip().splitlines()) <= 10
    monkeypatch.chdir(tmp_path)
    torch.save(timm.create_model('resnet18', num_classes=10).state_dict(), 'teacher.pth')
    scope = dict(train_loader=loader(16, 32), val_loader=loader(16, 32))
    exec(re.sub(r'epochs=100', 'epochs=1', first), scope)
    assert isinstance(scope['student'], nn.Module)
    exec(re.sub(r'epochs=100', 'epochs=1', features), scope)
    rows = [row for path in Path('work_dirs').rglob('scalars.json') for row in map(json.loads, path.open())]
    assert any('loss_hint' in row for row in rows)
    torch.save(MODELS.build(shake_config('baseline/resnet14_digits100.py')).state_dict(), 'teacher.pth')
    exec(config.replace('epochs=2,', 'epochs=1, work_dir="config", **few,'), {**scope, 'few': FEW, 'distill': distill})
    assert 'loss_dkd' in logged('config')[0]


def shake_config(name):
    """The model of a config of the package."""
    from mmengine.hub import get_config

    return get_config(f'shake_mm::{name}').model


def test_what_the_package_offers():
    assert {'DML', 'Distiller', 'KD', 'SHAKE', 'deploy_student', 'distill', 'export_student'} <= set(shake_mm.__all__)
    assert MODELS.get('shake_mm.SHAKE') is shake_mm.SHAKE and issubclass(shake_mm.KD, shake_mm.Distiller)
    with pytest.raises(AttributeError, match="no attribute 'Shake'"):
        _ = shake_mm.Shake


class Endless(IterableDataset):
    def __iter__(self):
        while True:
            yield torch.zeros(3, 16, 16), 0


DICTS = DataLoader([dict(pixel_values=torch.zeros(3, 8, 8), labels=0)] * 4, 2)
REFUSED = {
    'another batch': (dict(train=DICTS), 'pixel_values.*must be a pair of images'),
    'no length': (dict(train=DataLoader(Endless(), 2)), 'Endless has no length'),
    'a method by a wrong name': (dict(method='shaek'), "no 'shaek': did you mean shake"),
    'an option of a method': (dict(method=dict(type='KD', temperature=2)), "'temperature': did you mean tau"),
    'a slip in an argument': (dict(epoch=3), "unknown argument 'epoch': did you mean epochs"),
    'no such config': (dict(student='gone.py'), 'config gone.py does not exist'),
    'another softmax': (dict(student=Small(tail=nn.Softmax(1)), method='KD'), 'answers with probabilities'),
    'other classes': (dict(teacher=Small(classes=7)), 'same number of classes'),
    'two losses': (
        dict(
            student=dict(type='mmpretrain.ImageClassifier', backbone=dict(type='mmpretrain.LeNet5')), loss=nn.L1Loss()
        ),
        '`loss` is for a plain nn.Module',
    ),
    'no training data': (dict(train=None), 'train'),
    'targets of another kind': (
        dict(
            val=DataLoader([(torch.zeros(3, 8, 8), torch.zeros(5))] * 4, 2),
            train=DataLoader([(torch.zeros(3, 8, 8), torch.zeros(5))] * 4, 2),
            method='KD',
        ),
        'give `val_evaluator`',
    ),
}


@pytest.mark.parametrize('case', REFUSED)
def test_what_is_refused(case, tmp_path):
    changes, words = REFUSED[case]
    given = dict(student=Small(), teacher=Small(8), train=loader(), work_dir=tmp_path / 'run', epochs=1)
    with pytest.raises(UsageError, match=words):
        distill(**{**given, **changes})
    assert not list(tmp_path.rglob('*.pth'))


def test_a_teacher_that_normalizes_by_itself_is_not_shown_normalized_images(tmp_path):
    teacher = dict(
        config=dict(
            type='shake_mm.PlainModel',
            network=dict(type='torchvision.models.resnet18', num_classes=5),
            data_preprocessor=dict(type='ImgDataPreprocessor', mean=[120.0] * 3, std=[60.0] * 3),
        )
    )
    with pytest.raises(UsageError, match='normalizes images of 0 to 255 itself'):
        distill(Small(), teacher, loader(), epochs=1, work_dir=tmp_path)
