"""What fails while a run trains: a dead data worker, files that cannot be read, a network that is not there."""

import contextlib
import multiprocessing
import os
import re
import signal
import socket
import sys

import cv2
import numpy as np
import pytest
import torch
from mmengine.hooks import Hook
from mmengine.runner import Runner

from tools.train import main

from .support.runs import run_config

LOAD = [dict(type='LoadImageFromFile'), dict(type='PackInputs')]


class KillWorker(Hook):
    """Kills a data worker in the second epoch, as a system does that runs out of memory."""

    def before_train_iter(self, runner, batch_idx, data_batch=None):
        if runner.epoch == 1 and batch_idx == 0:
            os.kill(multiprocessing.active_children()[0].pid, signal.SIGKILL)


def in_process(folder, argv, hook=None, limit=40):
    """Train in a process of its own; return its exit status and what it says."""
    process = multiprocessing.get_context('fork').Process(target=_train, args=(folder / 'err', argv, hook))
    process.start()
    process.join(limit)
    hung = process.is_alive()
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    assert not hung
    return process.exitcode, (folder / 'err').read_text()


def _train(err, argv, hook):
    os.setsid()
    os.dup2(os.open(err, os.O_CREAT | os.O_WRONLY | os.O_TRUNC), 2)
    sys.stderr = os.fdopen(os.dup(2), 'w', buffering=1)
    if hook is not None:
        upstream = Runner.register_hooks

        def register(self, *args, **kwargs):
            upstream(self, *args, **kwargs)
            self.register_hook(hook)

        Runner.register_hooks = register
    sys.exit(main(argv))


LEFT_ALONE = re.compile(r'Traceback .*\n  File ".*/multiprocessing/resource_sharer\.py", .*\n(?:  .*\n)+\S.*\n')
"""What a thread of multiprocessing says in a worker whose reader went away while it was handing over a batch."""


def errors(text):
    """The sentences of a tool; there is no traceback beside them."""
    text = LEFT_ALONE.sub('', text)
    assert 'Traceback' not in text
    return [line for line in text.splitlines() if line.startswith('error: ')]


def baseline(make_classifier, classes):
    return dict(type='shake_mm.Baseline', student=make_classifier(6, classes=classes))


@pytest.mark.parametrize('exact', [False, True])
def test_a_dead_data_worker(make_classifier, tmp_path, exact):
    """One sentence, no hang, and the first epoch's checkpoint is whole; an exact run goes on from it."""
    cfg = run_config(baseline(make_classifier, 100), tmp_path, epochs=2, samples=256)
    cfg.train_dataloader.num_workers = 2
    cfg.pop('work_dir')
    cfg.dump(tmp_path / 'config.py')
    argv = [str(tmp_path / 'config.py'), '--work-dir', str(tmp_path / 'run'), *['--exact'] * exact]
    status, text = in_process(tmp_path, argv, KillWorker())
    (error,) = errors(text)
    assert status == 1 and re.search(r'a process that loads data( \(pid \d+\))? died', error) and '--resume' in error
    assert (tmp_path / 'run' / 'last_checkpoint').read_text().endswith('epoch_1.pth')
    assert torch.load(tmp_path / 'run' / 'epoch_1.pth', weights_only=True)['meta']['iter'] == 16


@pytest.fixture
def images(make_classifier, tmp_path):
    """A config with a folder of 32 images, of two classes, and a function that trains on it."""
    rng = np.random.default_rng(0)
    files = [tmp_path / 'data' / f'class{i % 2}' / f'{i:02d}.png' for i in range(32)]
    for file in files:
        file.parent.mkdir(parents=True, exist_ok=True)
        cv2.imwrite(str(file), rng.integers(256, size=(16, 16, 3), dtype=np.uint8))
    cfg = run_config(baseline(make_classifier, 2), tmp_path, epochs=2)
    dataset = dict(type='CustomDataset', data_root=str(tmp_path / 'data'), pipeline=LOAD)
    for loader in (cfg.train_dataloader, cfg.val_dataloader, cfg.test_dataloader):
        loader.batch_size, loader.dataset = 8, dataset
    cfg.val_dataloader = cfg.val_evaluator = cfg.val_cfg = None
    cfg.test_dataloader = cfg.test_evaluator = cfg.test_cfg = None
    cfg.pop('work_dir')

    def run(*hooks, workers=0, name='run', exact=True, **dataset):
        cfg.custom_hooks = list(hooks)
        cfg.train_dataloader.num_workers = workers
        cfg.train_dataloader.dataset.update(dataset)
        cfg.dump(tmp_path / 'config.py')
        argv = [str(tmp_path / 'config.py'), '--work-dir', str(tmp_path / name), *['--exact'] * exact]
        return in_process(tmp_path, [*argv, '--cfg-options', 'log_level=INFO'])

    run.log = lambda name='run': next((tmp_path / name).glob('*/*.log')).read_text()
    run.files = sorted(files)  # as the data set orders them
    return run


@pytest.mark.parametrize('workers', [0, 2])
def test_an_unreadable_image_ends_the_run(images, workers):
    """Without any option: its file is named, whichever process met it."""
    images.files[20].write_bytes(b'no image')
    status, text = images(workers=workers, exact=False)
    (error,) = errors(text)
    assert status == 1 and f'train_dataloader.dataset: {images.files[20]} cannot be read' in error
    assert 'Caught' not in error and "policy='skip'" in error


def test_unreadable_images_are_skipped_and_counted(images, tmp_path):
    """The same samples in their places, whether workers read or not; each named once, with totals."""
    for i in (20, 21, 29):
        images.files[i].write_bytes(b'')
    weights = []
    for workers in (0, 2):
        name = f'run{workers}'
        status, text = images(dict(type='shake_mm.ReadGuardHook', policy='skip'), workers=workers, name=name)
        assert status == 0, text
        log = images.log(name)
        for i in (20, 21, 29):
            assert log.count(f'{images.files[i]} cannot be read: the next sample is taken') == 1
        # the 20th is followed by the 21st, which cannot be read either
        for epoch, total in ((1, 4), (2, 8)):
            assert f'by epoch {epoch}, {total} times could not be read and were replaced by the next ones' in log
        weights.append(torch.load(tmp_path / name / 'epoch_2.pth', weights_only=True)['state_dict'])
    assert all(torch.equal(value, weights[1][key]) for key, value in weights[0].items())


@pytest.mark.parametrize('lost', [[0], [1, 2], [0, 1, 2, 29]])
def test_the_first_images_are_skipped_too(images, lost):
    """Those that are tried before the run begins; what is tried is counted in the run alone."""
    for i in lost:
        images.files[i].write_bytes(b'')
    status, text = images(dict(type='shake_mm.ReadGuardHook', policy='skip', max_skips=len(lost)))
    assert status == 0, text
    assert all(images.log().count(f'{images.files[i]} cannot be read: the next sample is taken') == 1 for i in lost)
    totals = [int(total) for total in re.findall(r'by epoch \d, (\d+) times could not be read', images.log())]
    assert len(totals) == 2 and totals[1] == 2 * totals[0]  # each epoch meets the same ones
    status, text = images(dict(type='shake_mm.ReadGuardHook', policy='skip', max_skips=1), name='strict')
    assert status == int(len(lost) > 1)
    assert all('max_skips=1 others were skipped before' in error for error in errors(text))


def test_too_many_unreadable_images(images):
    for i in (20, 24, 29):
        images.files[i].write_bytes(b'')
    status, text = images(dict(type='shake_mm.ReadGuardHook', policy='skip', max_skips=2), workers=2)
    (error,) = errors(text)
    assert status == 1 and 'max_skips=2 others were skipped before' in error
    assert any(str(images.files[i]) in error for i in (20, 24, 29))


def test_what_a_pipeline_leaves_out_is_counted(images):
    """mmengine takes another sample without a word."""
    images.files[20].write_bytes(b'')
    lenient = [dict(type='LoadImageFromFile', ignore_empty=True), dict(type='PackInputs')]
    assert images(pipeline=lenient, workers=2)[0] == 0
    log = images.log()
    assert (
        f'by epoch 2, 2 times were left out, as the pipeline gave nothing for them: samples {images.files[20]}' in log
    )


def test_no_network(make_classifier, trained, tmp_path, monkeypatch, capsys):
    """A distillation reads nothing from elsewhere, and nobody calls home."""

    def refuse(*args, **kwargs):
        raise AssertionError('the network was asked for')

    for name in ('connect', 'connect_ex', 'sendto'):
        monkeypatch.setattr(socket.socket, name, refuse)
    monkeypatch.setattr(socket, 'create_connection', refuse)
    monkeypatch.setattr(socket, 'getaddrinfo', refuse)
    teacher = make_classifier(8, classes=100)
    model = dict(
        type='shake_mm.SHAKE',
        student=make_classifier(6, classes=100),
        teachers=dict(config=teacher, checkpoint=trained(teacher)),
    )
    cfg = run_config(model, tmp_path)
    cfg.dump(tmp_path / 'config.py')
    assert main([str(tmp_path / 'config.py')]) == 0, capsys.readouterr().err
    assert (tmp_path / 'epoch_1.pth').exists()
