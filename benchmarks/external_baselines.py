"""Steps to compare ours with: mmrazor's distillation, and steps of ours whose teacher is looked up in a cache."""

import copy
import mmap
import os
from typing import Any

import numpy as np
from torch import nn

from benchmarks.training import METHODS, Step, train_step
from shake_mm.members.cache import LogitsCache

IMAGES, VIEWS = 50_000, 162
"""CIFAR's, padded by 4, cropped and mirrored."""


def mmrazor_step(student: nn.Module, teacher: nn.Module, data: dict, device: str, tau: float = 4.0) -> Step:
    """A training step of plain KD by mmrazor's ``SingleTeacherDistill``, as its configs set it up.

    Args:
        student (nn.Module): An mmpretrain classifier with a ``head.fc``; copied.
        teacher (nn.Module): Another; copied.
        data (dict): A batch as the data loader gives it.
        device (str): Device of torch.
        tau (float): Temperature. Defaults to 4.
    """
    from mmrazor.models import SingleTeacherDistill  # takes 5 s

    output = dict(fc=dict(type='mmrazor.ModuleOutputs', source='head.fc'))
    distiller = dict(
        type='mmrazor.ConfigurableDistiller',
        student_recorders=output,
        teacher_recorders=copy.deepcopy(output),
        distill_losses=dict(loss_kl=dict(type='mmrazor.KLDivergence', tau=tau, loss_weight=1.0)),
        loss_forward_mappings=dict(
            loss_kl=dict(
                preds_S=dict(from_student=True, recorder='fc'), preds_T=dict(from_student=False, recorder='fc')
            )
        ),
    )
    model = SingleTeacherDistill(
        distiller=distiller,
        teacher=copy.deepcopy(teacher),
        architecture=copy.deepcopy(student),
        data_preprocessor=copy.deepcopy(student.data_preprocessor),
    )
    model.to(device).train()  # which returns nothing there
    return train_step(model, data)


class CachedStep:
    """A step of ours whose teacher is looked up in a cache of real size, for images and views drawn anew each time.

    Args:
        method (str): Key of ``METHODS``.
        student (nn.Module): Copied; its config is ``config``.
        config (dict): The student's.
        teacher (nn.Module): Copied; it does not run.
        data (dict): A batch as the data loader gives it.
        device (str): Device of torch.
        cache (LogitsCache): A filled one.
        cold (bool): Whether the operating system has to fetch the rows from the disk in every step. Defaults to False.
        **settings: Further arguments of the method.
    """

    def __init__(
        self,
        method: str,
        student: nn.Module,
        config: dict,
        teacher: nn.Module,
        data: dict,
        device: str,
        cache: LogitsCache,
        cold: bool = False,
        **settings: Any,
    ) -> None:
        spec = dict(config=copy.deepcopy(teacher), cache=cache.folder)
        model = METHODS[method](student=copy.deepcopy(config), teachers=[spec], **settings)
        model.student.load_state_dict(student.state_dict())
        (member,) = model.members.cached
        member.cache, member._verified = cache, True  # of no real images: there is nothing to agree with
        self.cache, self.cold = cache, cold
        self.samples = [copy.copy(sample) for sample in data['data_samples']]
        data = {**data, 'data_samples': self.samples}
        self._step = train_step(model.to(device).train(), data)
        self._rng = np.random.default_rng(0)

    def prepare(self) -> None:
        """Draw the next images and views; outside of what is timed, as the data loader's work is."""
        for sample in self.samples:
            where = dict(sample_idx=int(self._rng.integers(IMAGES)), view_idx=int(self._rng.integers(VIEWS)))
            sample.set_metainfo(where)
        if self.cold:
            forget(self.cache)

    def __call__(self) -> Any:
        """Take a training step."""
        return self._step()


def filled_cache(folder: str, classes: int) -> LogitsCache:
    """A full cache of CIFAR's size, filled with noise, which takes as long to look up as logits."""
    key = dict(weights='noise', preprocessing='none', images='none', views='162')
    cache = LogitsCache(folder, key, (IMAGES, VIEWS, classes), 'benchmark')
    chunk = 1000
    noise = np.random.default_rng(0).standard_normal((chunk * VIEWS, classes), np.float32).astype(np.float16)
    for begin in range(0, IMAGES, chunk):
        if cache.missing(slice(begin, begin + 1)).any():
            images = np.arange(begin, begin + chunk).repeat(VIEWS)
            cache.write(images, np.tile(np.arange(VIEWS), chunk), noise)
    cache.flush()
    return cache


def forget(cache: LogitsCache) -> None:
    """Drop the file's pages from the page cache, so that the next look-up reads the disk."""
    cache._rows._mmap.madvise(mmap.MADV_DONTNEED)
    with open(os.path.join(cache.folder, 'logits.f16'), 'rb') as file:
        os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)
