"""A student of some of its teacher's classes: the demonstration on digits, trained, resumed and exported."""

import json

import pytest
import torch
from mmengine.config import Config
from torch.nn import functional as F

from analysis.describe import calibrated
from shake_mm.members import MemberSpec
from shake_mm.registry import DATASETS, MODELS

from .cells import CONFIGS, shortened, train_resume_export

CONFIG = CONFIGS / 'kd/kd-subset_resnet14_resnet8_digits.py'
TEN = tuple(map(str, range(10)))


def test_the_even_digits_of_a_teacher_of_all(tmp_path):
    network = calibrated(MemberSpec.parse('teacher0', 'shake_mm::baseline/resnet14_digits.py').build(), 32)
    meta = {'dataset_meta': {'classes': TEN}}
    torch.save({'state_dict': network.state_dict(), 'meta': meta}, tmp_path / 'teacher0.pth')
    first, last, plain = train_resume_export(
        lambda epochs: shortened(Config.fromfile(CONFIG), tmp_path, epochs), tmp_path, (1, 2)
    )
    assert last['student.head.fc.weight'].shape[0] == plain.model.head.num_classes == 5
    assert not torch.equal(first['student.head.fc.weight'], last['student.head.fc.weight'])
    saved = torch.load(tmp_path / 'run/epoch_2.pth', weights_only=True)['meta']['dataset_meta']
    assert tuple(saved['classes']) == TEN[::2]
    scalars = next((tmp_path / 'run').glob('*/vis_data/scalars.json')).read_text().splitlines()
    assert json.loads(scalars[0])['loss_student_from_teacher'] > 0


def test_kd_is_of_the_shared_classes_alone(tmp_path):
    cfg = Config.fromfile(CONFIG)
    network = MemberSpec.parse('teacher0', 'shake_mm::baseline/resnet14_digits.py').build().eval()
    torch.nn.init.normal_(network.head.fc.weight)
    torch.save({'state_dict': network.state_dict(), 'meta': {'dataset_meta': {'classes': TEN}}}, tmp_path / 't.pth')
    cfg.model.teachers[0].checkpoint = str(tmp_path / 't.pth')
    torch.manual_seed(0)
    model = MODELS.build(cfg.model).train()
    dataset = DATASETS.build(dict(cfg.val_dataloader.dataset, num_samples=40))
    assert dataset.metainfo['classes'] == TEN[::2] and {s['gt_label'] for s in dataset.load_data_list()} == {*range(5)}
    model.members.fit_classes(dataset.metainfo['classes'], 'val_dataloader', {'teacher0'})
    images, samples = torch.randn(3, 3, 32, 32), [dataset[i]['data_samples'] for i in range(3)]
    value = model(images, samples, mode='loss')['loss_student_from_teacher']
    term, teacher = model.terms['student_from_teacher'], model.members.frozen['teacher0']
    s, t = (F.log_softmax(x / 4, 1) for x in (model.student(images), teacher.network(teacher.view(images))[:, ::2]))
    wanted = term.weight * 16 * (t.exp() * (t - s)).sum(1).mean()
    assert value.item() == pytest.approx(wanted.item(), rel=1e-4) and value > 0
