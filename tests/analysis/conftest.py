import json

import pytest


@pytest.fixture
def log_run(tmp_path):
    """Write what a run of mmengine leaves: its config, and its log."""

    def write(
        folder,
        name,
        val,
        *,
        seed=0,
        epochs=None,
        start='20260101_000000',
        times=(),
        distilled=True,
        metric='accuracy/top1',
        **row,
    ):
        work_dir = tmp_path / folder
        (work_dir / start / 'vis_data').mkdir(parents=True)
        model = dict(student=dict(type='Net')) if distilled else dict(type='Net')
        (work_dir / f'{name}.py').write_text(
            f'model = {model}\ntrain_cfg = dict(max_epochs={epochs or len(val)})\nrandomness = dict(seed={seed})\n'
        )
        rows = [{'loss': 1.0, 'epoch': 1, 'time': time, 'step': i} for i, time in enumerate(times)]
        rows += [{metric: value, 'step': i, **row} for i, value in enumerate(val, 1)]
        log = work_dir / start / 'vis_data' / 'scalars.json'
        log.write_text(''.join(json.dumps(row) + '\n' for row in rows))
        return work_dir

    return write


@pytest.fixture
def root(tmp_path):
    """Three methods on a pair, one seed each, as mmengine leaves them."""
    for i, method in enumerate(('baseline', 'kd', 'shake')):
        log = tmp_path / 'grid' / method / '20260101_000000' / 'vis_data' / 'scalars.json'
        log.parent.mkdir(parents=True)
        log.write_text(json.dumps({'accuracy/top1': 90.0 + i, 'teacher/top1': 97.0, 'step': 1}) + '\n')
        (tmp_path / 'grid' / method / f'{method}_resnet14_resnet8_digits100.py').write_text(
            "model = dict(type='x', student=dict())\ntrain_cfg = dict(max_epochs=1)\nrandomness = dict(seed=0)\n"
        )
    return tmp_path / 'grid'
