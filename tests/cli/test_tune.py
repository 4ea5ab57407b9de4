"""The search for settings: halving by what trainings reach, going on after an end, and a config that trains."""

import json
import sys
from pathlib import Path

import pytest
import torch
from mmengine.config import Config
from rich.console import Console

from shake_mm.cli import tune
from shake_mm.compat import configs_dir
from shake_mm.errors import UsageError
from shake_mm.grid.trials import settings_of
from shake_mm.registry import MODELS

KD = f'{configs_dir()}/kd/kd_resnet14_resnet8_digits100.py'
SHAKE = f'{configs_dir()}/shake/shake_resnet14_resnet8_digits100.py'
FAKE = r"""
import json, pathlib, re, sys
config = next(word for word in sys.argv if word.endswith('.py') and 'configs' in word)
folder = pathlib.Path(sys.argv[sys.argv.index('--work-dir') + 1])
text = open(config).read()
find = lambda key, usual: float((re.search(rf'\b{key}=([\d.]+)', text) or [0, usual])[1])
epochs = int(find('max_epochs', 0))
kind = re.search(r"type='shake_mm\.(Baseline|KD|SHAKE)'", text)[1]
value = {'Baseline': 50, 'KD': 60, 'SHAKE': 55}[kind] + epochs
if kind != 'Baseline':
    value += find('lam', 1) - abs(find('tau', 4) - 2)
with open('trained.txt', 'a') as log:
    log.write(f'{pathlib.Path(config).stem} {" ".join(word for word in sys.argv if word[:2] == "--")}\n')
logs = folder / '20260101_000000' / 'vis_data'
logs.mkdir(parents=True)
(logs / 'scalars.json').write_text(json.dumps({'accuracy/top1': value, 'step': epochs}) + '\n')
(folder / f'epoch_{epochs}.pth').write_bytes(b'')
fails = pathlib.Path('fail')
sys.exit(3 if fails.exists() and fails.read_text() in config else 0)
"""
SMALL = ['--methods', 'KD', '--taus', '2', '8', '--lams', '1', '--cfg-options', 'train_cfg.max_epochs=3']


@pytest.fixture
def search(tmp_path, monkeypatch, capsys):
    """Search with trainings that only say what they would reach; what was trained, and what was told."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / 'train.py').write_text(FAKE)

    def run(*argv):
        args = tune.parse_args([KD, '--work-dir', 'search', *argv])
        tune.tune(args, Console(width=200), (sys.executable, '-S', 'train.py'))
        lines = (tmp_path / 'trained.txt').read_text().splitlines()
        return [line.split()[0] for line in lines], capsys.readouterr().out

    return run


def test_the_better_ones_are_trained_to_the_end(search, tmp_path):
    trained, told = search('--budget', '1h', *SMALL)
    first = ['given_1', 'plain_1']
    assert trained[:2] == first and set(trained[2:4]) == {'KD-tau2-lam1_1', 'KD-tau8-lam1_1'}
    assert trained[4:] == ['given_3', 'plain_3', 'KD-tau2-lam1_3']
    # given: tau 4 and lam 1; each value by hand
    assert [line for line in told.splitlines() if line.startswith('| ')][1:] == [
        '| KD tau=2 lam=1 | 3 of 3 | 64.0000 |',
        '| given | 3 of 3 | 62.0000 |',
        '| plain | 3 of 3 | 53.0000 |',
        '| KD tau=8 lam=1 | 1 of 3 | 56.0000 |',
    ]
    cfg = Config.fromfile(tmp_path / 'search' / 'best.py')
    assert (cfg.model.type, cfg.model.tau, cfg.model.lam, cfg.train_cfg.max_epochs) == ('shake_mm.KD', 2, 1, 3)
    assert cfg.train_cfg.val_interval == Config.fromfile(KD).train_cfg.val_interval
    # all of them look one teacher's logits up
    assert '--batched --cache-teachers' in (tmp_path / 'trained.txt').read_text().splitlines()[0]
    again, _ = search('--budget', '1h', *SMALL)
    assert again == trained, 'nothing is trained twice'


def test_a_search_goes_on_where_it_stopped(search, tmp_path):
    (tmp_path / 'fail').write_text('given')
    with pytest.raises(UsageError, match=r'the config does not train as it is: given.*exit status 3'):
        search('--budget', '1h', *SMALL)
    assert not (tmp_path / 'search' / 'tune.json').exists()
    (tmp_path / 'fail').unlink()
    trained, told = search('--budget', '0.1s', *SMALL)
    assert trained == ['given_1', 'given_1'] and 'The budget is spent: plain was not trained' in told
    assert Config.fromfile(tmp_path / 'search' / 'best.py').model.get('tau', 4) == 4
    # a setting that does not train is the worst one
    (tmp_path / 'fail').write_text('KD-tau2')
    trained, told = search('--budget', '1h', *SMALL)
    assert set(trained[3:5]) == {'KD-tau2-lam1_1', 'KD-tau8-lam1_1'} and trained[-1] == 'KD-tau8-lam1_3'
    assert len(trained) == 8 and '| KD tau=2 lam=1 | 1 of 3 | -inf |' in told


def test_another_search_is_not_overwritten(search, tmp_path):
    search('--budget', '0.1s', *SMALL)
    before = (tmp_path / 'search' / 'tune.json').read_text()
    with pytest.raises(UsageError, match='holds a search from another config or with other options'):
        search('--budget', '1h', *SMALL, 'model.alpha=0.5')
    assert (tmp_path / 'search' / 'tune.json').read_text() == before
    (tmp_path / 'search' / 'tune.json').write_text('{"about": "Written by `python -m shake_mm tune`"')
    with pytest.raises(UsageError, match='is damaged'):
        search('--budget', '1h', *SMALL)
    (tmp_path / 'mine').mkdir()
    (tmp_path / 'mine' / 'best.py').write_text('x = 1\n')
    with pytest.raises(UsageError, match='was not written by shake_mm'):
        search('--budget', '1h', *SMALL[:-2], '--work-dir', 'mine')


def test_a_metric_that_is_not_there(search):
    with pytest.raises(UsageError, match='--metric: the validation has accuracy/top1, step'):
        search('--budget', '1h', '--metric', 'mIoU', *SMALL)


@pytest.mark.parametrize(
    'options, sentence',
    [
        (['--budget', 'long'], '--budget long is no time'),
        (['--cfg-options', 'model.type=shake_mm.DML'], 'model.type is DML, and a search starts from KD or SHAKE'),
        (['--cfg-options', 'model.stages.a.until=1'], 'model.stages count epochs'),
        (['--methods', 'SHAKE', '--cfg-options', 'model.terms.task.weight=2'], 'changes terms of KD'),
        (['--cfg-options', 'val_dataloader=None'], 'there is no val_dataloader'),
    ],
)
def test_refusals(options, sentence, search):
    with pytest.raises(UsageError, match=sentence):
        search(*options)


def test_the_settings():
    model = Config.fromfile(SHAKE).model
    found = settings_of(model, ['KD', 'SHAKE'], [1, 4], [0.5])
    assert list(found) == [
        *('given', 'plain', 'KD tau=1 lam=0.5', 'KD tau=4 lam=0.5', 'SHAKE tau=1 lam=0.5', 'SHAKE tau=4 lam=0.5'),
        *('SHAKE tau=1 lam=0.5 stronger shadow', 'SHAKE tau=4 lam=0.5 stronger shadow'),
    ]
    assert found['plain'].type == 'shake_mm.Baseline' and found['plain'].teachers == model.teachers
    stronger = found['SHAKE tau=1 lam=0.5 stronger shadow']
    assert stronger.proxies.neck.type == 'ShadowNeck' and stronger.lam == 0.5


@pytest.mark.slow
def test_real_trainings(tmp_path, monkeypatch):
    """The student alone, the config as it is and one setting, off one teacher; what is written trains and exports."""
    monkeypatch.chdir(tmp_path)
    teacher = Config.fromfile(f'{configs_dir()}/baseline/resnet14_digits100.py')
    network = MODELS.build(teacher.model)
    network.init_weights()
    torch.save({'state_dict': network.state_dict()}, tmp_path / 'teacher.pth')
    options = ['train_cfg.max_epochs=1', f'model.teachers.0.checkpoint={tmp_path / "teacher.pth"}']
    for part in ('train', 'val', 'test'):
        options.append(f'{part}_dataloader.dataset.num_samples=64')
    argv = [SHAKE, '--work-dir', 'search', '--methods', 'KD', '--taus', '2', '--lams', '1', '--cfg-options', *options]
    assert tune.main(argv) == 0
    found = json.loads((tmp_path / 'search' / 'tune.json').read_text())
    assert set(found['results']) == {'given @ 1', 'plain @ 1', 'KD tau=2 lam=1 @ 1'}
    assert found['metric'] == 'accuracy/top1'
    assert all(0 <= result['value'] <= 100 and result['seconds'] > 0 for result in found['results'].values())
    assert len(list(Path('work_dirs').rglob('*.npy'))) + len(list(Path('work_dirs').rglob('cache*'))) >= 1
    MODELS.build(Config.fromfile(tmp_path / 'search' / 'best.py').model)
