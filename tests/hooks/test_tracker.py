"""Trackers: the real packages, offline, show terms, gaps and accuracies under names in groups."""

import json
import os
import re
import subprocess
from importlib.util import find_spec

import pytest
from mmengine.config import Config

from shake_mm.hooks.tracker import grouped

from ..support.environments import ROOT, fresh, install
from ..support.runs import run_config, train

PAGE = (ROOT / 'docs/logs.md').read_text()
WRITTEN = {
    *('loss/sum', 'loss/student.loss', 'loss/student_from_proxy', 'loss/proxy_from_teacher', 'loss/proxy_from_student'),
    *('top1/student', 'top1/teacher', 'top1/proxy', 'top1/ensemble', 'accuracy/top1', 'gap/teacher', 'gap/proxy', 'lr'),
}


def test_names_that_another_one_has_stay():
    assert grouped({'loss': 1, 'loss_sum': 2}) == {'loss': 1, 'loss_sum': 2}
    assert grouped({'student/mIoU': 1, 'proxy1/mAP': 2, 'coco/bbox_mAP': 3, 'share/kd': 4}) == {
        **{'mIoU/student': 1, 'mAP/proxy1': 2},
        **{'coco/bbox_mAP': 3, 'share/kd': 4},
    }


def test_no_name_is_a_metric_and_a_group():
    own = {'mIoU': 1, 'teacher/mIoU': 2, 'proxy0/mIoU': 3, 'aAcc': 4}
    assert [*grouped(own)] == ['mIoU/student', 'mIoU/teacher', 'mIoU/proxy0', 'aAcc']
    own = {'coco/bbox_mAP': 1, 'teacher/coco/bbox_mAP': 2}
    assert [*grouped(own)] == ['coco/bbox_mAP/student', 'coco/bbox_mAP/teacher']


def backends(*kinds):
    """The visualizer of the page with some of its trackers."""
    scope = {}
    exec(re.search(r'```python\n(vis_backends.*?)```', PAGE, re.S)[1], scope)
    chosen = [backend for backend in scope['vis_backends'] if backend['type'].startswith(('Local', *kinds))]
    return {**scope['visualizer'], 'vis_backends': chosen}


OWN = {f'accuracy/top1/{member}' for member in ('student', 'teacher', 'proxy')}
"""What the run's own metric says of members that it measures too, in the place of ``accuracy/top1``."""


def hooks(model, folder, **evaluation):
    """The hooks of a run with that of the trackers."""
    measuring, *others = run_config(model, folder).custom_hooks
    return [{**measuring, **evaluation}, *others, dict(type='shake_mm.TrackerHook')]


@pytest.mark.skipif(find_spec('tensorboard') is None, reason='tensorboard is not installed: requirements/trackers.txt')
def test_tensorboard_shows_groups_and_the_log_keeps_its_names(shake, tmp_path):
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    work = tmp_path / 'run'
    runner = train(shake, work, visualizer=backends('Tensorboard'), custom_hooks=hooks(shake, work))
    runner.visualizer.close()
    (file,) = work.rglob('events.out.tfevents.*')
    events = EventAccumulator(str(file.parent))
    events.Reload()
    assert set(events.Tags()['scalars']) >= WRITTEN
    lines = [json.loads(line) for line in next(work.rglob('scalars.json')).read_text().splitlines()]
    assert events.Scalars('gap/teacher')[-1].value == pytest.approx(lines[-1]['gap/teacher'], rel=1e-5)
    assert events.Scalars('top1/proxy')[-1].value == pytest.approx(lines[-1]['proxy/top1'], rel=1e-5)
    assert events.Scalars('loss/proxy_from_teacher')[0].value == pytest.approx(
        lines[0]['loss_proxy_from_teacher'], rel=1e-5
    )


RUN = """
import sys
import shake_mm
from mmengine.config import Config
from mmengine.runner import Runner
runner = Runner.from_cfg(Config.fromfile(sys.argv[1]))
runner.train()
runner.visualizer.close()
"""


def in_wandb(folder):
    """The names that stand in the files of offline runs, whose format is W&B's own."""
    content = b''.join(path.read_bytes() for path in folder.rglob('*.wandb'))
    return {name for name in WRITTEN | OWN if name.encode() in content}


def in_mlflow(folder):
    """The names of the metrics, each of which has a file, in folders by what stands before a slash."""
    stores = [path for path in folder.rglob('metrics') if path.is_dir()]
    return {file.relative_to(store).as_posix() for store in stores for file in store.rglob('*') if file.is_file()}


@pytest.fixture(scope='module')
def trackers(tmp_path_factory):
    """Python of an environment that has Weights & Biases and MLflow beside everything else."""
    programs = fresh(tmp_path_factory.mktemp('trackers') / 'env')
    if install(programs, 'wandb', 'mlflow-skinny>=3').returncode:
        pytest.skip('wandb and mlflow-skinny could not be installed from the package index')
    return programs / 'python'


@pytest.mark.slow
@pytest.mark.parametrize(('kind', 'written'), [('Wandb', in_wandb), ('MLflow', in_mlflow)])
def test_the_others_show_the_same(kind, written, trackers, shake, tmp_path):
    work = tmp_path / 'run'
    cfg = run_config(shake, work, visualizer=backends(kind), custom_hooks=hooks(shake, work, measure='*'))
    Config(cfg.to_dict()).dump(tmp_path / 'config.py')
    offline = dict(WANDB_MODE='offline', MLFLOW_ALLOW_FILE_STORE='true', HOME=str(tmp_path), PYTHONPATH=str(ROOT))
    env = {**os.environ, **offline, 'PYTHONWARNINGS': 'ignore', 'OMP_NUM_THREADS': '1'}
    command = [str(trackers), '-c', RUN, str(tmp_path / 'config.py')]
    result = subprocess.run(command, capture_output=True, text=True, env=env, cwd=tmp_path, timeout=600)
    assert result.returncode == 0, result.stderr[-3000:]
    assert written(work) >= WRITTEN - {'accuracy/top1'} | OWN
