"""Networks of timm and transformers: trained, tested, exported, and as teachers, by our commands."""

import json

import pytest
import torch
from mmengine.config import Config

from shake_mm.cli import export_student, test, train
from shake_mm.errors import UsageError
from shake_mm.registry import MODELS
from tests.conftest import classifier
from tests.support.runs import run_config

PREPROCESSOR = dict(type='ClsDataPreprocessor', num_classes=100, mean=[60.0] * 3, std=[80.0] * 3)


def timm(name, **arguments):
    pytest.importorskip('timm')
    own = dict(type='TimmClassifier', model_name=name, num_classes=100, data_preprocessor=PREPROCESSOR)
    return {**own, **arguments}


@pytest.fixture
def network(tmp_path):
    """Small networks of each library; transformers reads its config from a folder."""

    def network(kind):
        if kind == 'vit':
            return timm('vit_tiny_patch16_224', img_size=32, patch_size=16, depth=1, embed_dim=24, num_heads=2)
        if kind == 'resnet':
            return timm('resnet10t')
        if kind == 'deit':
            return timm('deit_tiny_distilled_patch16_224', img_size=32, patch_size=16, depth=1, num_heads=3)
        transformers = pytest.importorskip('transformers')
        small = dict(embedding_size=8, hidden_sizes=[8, 16], depths=[1, 1], layer_type='basic', num_labels=100)
        if kind == 'swin':
            config = transformers.SwinConfig(
                image_size=32, patch_size=4, embed_dim=8, depths=[1], num_heads=[2], window_size=4, num_labels=100
            )
        else:
            config = transformers.ResNetConfig(**small)
        config.save_pretrained(tmp_path / kind)
        return dict(type='HuggingFaceClassifier', model_name=str(tmp_path / kind), data_preprocessor=PREPROCESSOR)

    return network


@pytest.fixture
def start(tmp_path):
    """Write a config, train it, and return its path and checkpoint, with what it measured."""

    def start(model, *options, samples=32, **changes):
        number = len(list(tmp_path.glob('run*.py')))
        path, work = tmp_path / f'run{number}.py', tmp_path / f'work{number}'
        cfg = run_config(model, work, samples=samples, log_level='INFO', **changes)
        for loader in (cfg.train_dataloader, cfg.val_dataloader, cfg.test_dataloader):
            loader.dataset.image_size = 32
        cfg.custom_hooks += [dict(type='EMAHook')]
        cfg.experiment_name = f'{tmp_path.name}_{number}'
        cfg.dump(path)
        assert train.main([str(path), '--work-dir', str(work), *options]) == 0
        lines = [json.loads(line) for line in next(work.glob('*/vis_data/scalars.json')).read_text().splitlines()]
        return path, work / 'epoch_1.pth', {key: value for line in lines for key, value in line.items()}

    return start


@pytest.fixture
def taught(trained):
    def taught(student, method='SHAKE', **model):
        teacher = classifier(8, classes=100)
        teachers = dict(config=teacher, checkpoint=trained(teacher))
        return dict(type=f'shake_mm.{method}', student=student, teachers=teachers, **model)

    return taught


CASES = [('resnet', 'SHAKE'), ('resnet', 'KD'), ('vit', 'SHAKE'), ('hf', 'SHAKE'), ('hf', 'KD'), ('swin', 'SHAKE')]


@pytest.mark.parametrize(('kind', 'method'), CASES)
def test_a_student_is_trained_tested_and_exported(kind, method, network, taught, start, tmp_path):
    config, checkpoint, seen = start(taught(network(kind), method))
    assert ('proxy/top1' in seen) == (method == 'SHAKE') and seen['gap/teacher'] > 0
    out = tmp_path / 'metrics.json'
    options = ['--work-dir', str(tmp_path / 'test'), '--out-item', 'metrics', '--overwrite', '--out', str(out)]
    assert test.main([str(config), str(checkpoint), *options]) == 0
    measured = json.loads(out.read_text())
    assert measured['accuracy/top1'] == seen['accuracy/top1']
    assert measured['gap/teacher'] == pytest.approx(seen['gap/teacher'], rel=1e-4)
    if method == 'SHAKE':
        assert test.main([str(config), str(checkpoint), *options, '--member', 'proxy0']) == 0
        assert json.loads(out.read_text())['accuracy/top1'] == pytest.approx(seen['proxy/top1'], abs=1e-4)

    assert export_student.main([str(config), str(checkpoint), str(tmp_path / 'out.pth')]) == 0
    [weights] = tmp_path.glob('out_*.pth')
    names = torch.load(weights, weights_only=True)['state_dict'].keys()
    assert names == MODELS.build(Config.fromfile(tmp_path / 'out.py').model).state_dict().keys()
    assert test.main([str(tmp_path / 'out.py'), str(weights), *options]) == 0
    assert json.loads(out.read_text())['accuracy/top1'] == seen['accuracy/top1']


def test_a_run_goes_on_and_starts_from_plain_weights(network, taught, start, tmp_path):
    """Resumed, and from a file of the library's own names."""
    student = network('resnet')
    torch.manual_seed(4)
    plain = MODELS.build(dict(student)).model.state_dict()
    torch.save(plain, tmp_path / 'timm.pth')
    still = dict(optim_wrapper=dict(optimizer=dict(type='SGD', lr=0.0)))
    _, checkpoint, _ = start(taught(student), load_from=str(tmp_path / 'timm.pth'), **still)
    state = torch.load(checkpoint, weights_only=True)['state_dict']
    assert all(torch.equal(state[f'student.model.{name}'], plain[name]) for name in ('conv1.0.weight', 'fc.bias'))
    model = MODELS.build(taught(student))
    model.load_state_dict(state)
    again = model.state_dict()
    assert all(torch.equal(again[name], value) for name, value in state.items())


@pytest.mark.parametrize('kind', ['resnet', 'hf'])
def test_a_teacher_live_and_cached(kind, network, start, tmp_path):
    """The cached run learns from the same logits, in float16."""
    teacher = network(kind)
    torch.save(dict(state_dict=MODELS.build(dict(teacher)).state_dict()), tmp_path / 'teacher.pth')
    teachers = dict(config=teacher, checkpoint=str(tmp_path / 'teacher.pth'))
    model = dict(type='shake_mm.KD', student=classifier(6, classes=100), teachers=teachers)
    model['student']['data_preprocessor'] = PREPROCESSOR
    cached = ['--exact', '--cache-teachers', str(tmp_path / 'cache')]
    losses = [start(dict(model), *options)[2] for options in (['--exact'], cached, cached)]
    for key in ('loss_student_from_teacher', 'gap/teacher'):
        first, *others = [run[key] for run in losses]
        assert others == [pytest.approx(first, rel=2e-3)] * 2


def test_a_network_of_two_heads_has_no_shadow(network, taught, start):
    """A shadow of the whole network is the mend that is named; without one, KD trains."""
    with pytest.raises(UsageError, match=r"does not end in one linear layer.*type='ShadowNetwork'"):
        MODELS.build(taught(network('deit')))
    _, _, seen = start(taught(network('deit'), proxies=dict(type='ShadowNetwork')))
    assert 'proxy/top1' in seen
