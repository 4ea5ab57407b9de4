"""Errors of the stack told in a sentence: what a table of bad inputs cannot bring about at will."""

import multiprocessing

import pytest
from torch.utils.data import dataloader

from shake_mm.explain import explain


@pytest.mark.parametrize('kind', [ConnectionResetError, EOFError])
def test_a_worker_that_dies_while_it_gives_a_batch(kind, monkeypatch):
    """Then PyTorch does not know its pid."""

    def reset(*args, **kwargs):
        raise kind(104, 'Connection reset by peer')

    loader = dataloader.DataLoader(range(4), num_workers=1, multiprocessing_context=multiprocessing.get_context('fork'))
    batches = iter(loader)
    monkeypatch.setattr(batches._data_queue, 'get', reset)
    with pytest.raises(kind) as caught:
        next(batches)
    assert 'a process that loads data died' in explain(caught.value) and '--resume' in explain(caught.value)
    assert 'loads data' not in explain(kind(104, 'elsewhere'))
