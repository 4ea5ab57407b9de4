"""Groups of runs: who waits for whom, until when, and what they hand each other."""

import os
import threading
import time

import pytest
import torch

from shake_mm.errors import UsageError
from shake_mm.members import exchange
from shake_mm.members.exchange import AHEAD, Exchange, Group, is_taken, make_group


@pytest.fixture
def runs(tmp_path):
    """Groups of the given number of runs, all in this process, and the handles that stand for their lives."""
    opened = []

    def runs(number):
        opened.extend(make_group(tmp_path, [f'run {i}' for i in range(number)]))
        return [Group(str(tmp_path / str(i))) for i in range(number)], opened

    yield runs
    for handle in opened:
        try:
            os.close(handle)
        except OSError:  # its run has ended
            pass


@pytest.fixture
def passes():
    """What computes a step, and the steps that were computed."""
    done = []

    def compute(step):
        def pass_(value=None):
            done.append(step)
            return {'head': [torch.full((2,), float(step)) if value is None else value]}

        return pass_

    return compute, done


def take(group, step, compute, batch='b', key='teacher', needed=('head',)):
    group.enter(step)
    return Exchange(group, key, 'teacher0').take(step, batch, needed, compute(step))


def test_a_step_is_computed_once_and_kept_while_it_is_needed(runs, passes, tmp_path):
    (one, two), _ = runs(2)
    compute, done = passes
    for step in range(AHEAD):
        values, computed = take(one, step, compute)
        assert computed and values['head'][0].tolist() == [step, step]
    assert len(list((tmp_path / 'teacher').glob('*.pt'))) == AHEAD
    for step in range(AHEAD):
        values, computed = take(two, step, compute)
        assert not computed and values['head'][0].tolist() == [step, step]
    assert done == list(range(AHEAD))
    take(two, AHEAD, compute)
    assert [path.name for path in sorted((tmp_path / 'teacher').glob('*.pt'))] == [f'{AHEAD - 1}.pt', f'{AHEAD}.pt']
    two.leave()
    take(one, AHEAD + 3, compute)
    assert [path.name for path in (tmp_path / 'teacher').glob('*.pt')] == [f'{AHEAD + 3}.pt']


def test_values_have_the_same_bits_and_layout(runs, passes):
    (one, two), _ = runs(2)
    compute, _ = passes
    odd = torch.tensor([float('nan'), -0.0, float('inf'), 1e-42])
    layout = torch.randn(2, 3, 4, 4).to(memory_format=torch.channels_last)
    made = [(odd, None, 3), {'a': layout, 'b': torch.arange(3)}, torch.randn(2).half(), torch.randn(2).bfloat16()]
    take(one, 0, lambda step: lambda: {'head': made})
    (values, computed) = take(two, 0, compute)
    found = values['head']
    assert not computed and type(found[0]) is tuple and found[0][1:] == (None, 3)
    assert found[0][0].view(torch.int32).tolist() == odd.view(torch.int32).tolist()
    assert torch.equal(found[1]['a'], layout) and found[1]['a'].stride() == layout.stride()
    for ours, theirs in ((found[1]['b'], made[1]['b']), (found[2], made[2]), (found[3], made[3])):
        assert torch.equal(ours, theirs) and ours.dtype == theirs.dtype


def test_a_run_waits_for_the_last_one_until_that_ends(runs, passes):
    (one, two, three), handles = runs(3)
    compute, done = passes
    three.leave()
    waiting = threading.Thread(target=take, args=(one, AHEAD, compute))
    waiting.start()
    time.sleep(0.3)
    assert waiting.is_alive() and done == []  # for run 1, which has not begun: it counts from its seat on
    os.close(handles[1])  # its process has ended
    waiting.join(20)
    assert done == [AHEAD]


def test_a_run_waits_while_another_computes_and_takes_over_when_that_ends(runs, passes):
    (one, two), _ = runs(2)
    compute, done = passes
    turn = Exchange(one, 'teacher', 'teacher0').folder / 'turn'
    with open(turn, 'ab') as held:
        assert exchange._locked(held)
        waiting = threading.Thread(target=take, args=(two, 0, compute))
        waiting.start()
        time.sleep(0.3)
        assert waiting.is_alive() and done == []
    waiting.join(20)
    assert done == [0]


def test_nobody_waits_longer_than_patience(runs, passes, monkeypatch):
    """Neither for a pass that does not end, nor for a run that stands still, nor at the begin."""
    monkeypatch.setattr(exchange, 'PATIENCE', 0.1)
    (one, two), _ = runs(2)
    compute, done = passes
    assert Group(str(one.folder / '0')).announce({'mine': 1}) == [{'mine': 1}]
    with open(Exchange(one, 'teacher', 'teacher0').folder / 'turn', 'ab') as held:
        assert exchange._locked(held)
        take(one, 0, compute)
    take(one, AHEAD + 7, compute)
    take(one, AHEAD + 8, compute)
    assert done == [0, AHEAD + 7, AHEAD + 8] and one.oldest() == AHEAD + 8
    take(two, 0, compute)  # which goes on after all
    assert done[3:] in ([], [0])


def test_all_are_told_what_all_want(runs):
    groups, handles = runs(3)
    os.close(handles[2])  # it failed before it began
    told = {}
    threads = [
        threading.Thread(target=lambda i=i: told.update({i: groups[i].announce({'wants': i})})) for i in range(2)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(20)
    assert told == {0: [{'wants': 0}, {'wants': 1}], 1: [{'wants': 0}, {'wants': 1}]}


def test_another_batch_is_refused_and_what_is_missing_is_computed(runs, passes):
    (one, two), _ = runs(2)
    compute, done = passes
    take(one, 0, compute)
    with pytest.raises(UsageError, match='teacher0: in step 0 this run sees another batch than run 0, with which'):
        take(two, 0, compute, batch='c')
    values, computed = take(two, 0, lambda step: lambda: {'head': [], 'neck': []}, needed=('head', 'neck'))
    assert computed and values.keys() == {'head', 'neck'}


def test_a_full_disk_lets_each_compute_its_own(runs, passes, monkeypatch):
    def full(content, path):
        path.write_bytes(b'half')
        raise OSError(28, 'No space left on device')

    monkeypatch.setattr(torch, 'save', full)
    (one, two), _ = runs(2)
    compute, done = passes
    for group in (one, two):
        assert take(group, 0, compute)[1]
    assert done == [0, 0] and {path.name for path in Exchange(one, 'teacher', '').folder.iterdir()} == {'turn'}


def test_a_seat_is_taken_until_its_last_handle_is_closed(tmp_path):
    first, second = make_group(tmp_path, ['a', 'b'])
    inherited = os.dup(first)
    os.close(first)
    assert is_taken(tmp_path / '0') and is_taken(tmp_path / '1')
    os.close(inherited)
    assert not is_taken(tmp_path / '0') and is_taken(tmp_path / '1') and not is_taken(tmp_path / '2')
    os.close(second)


@pytest.mark.parametrize('seat', ['gone/0', '{folder}/2', '{folder}/x'])
def test_what_is_no_seat_is_refused(seat, tmp_path):
    for handle in make_group(tmp_path, ['a', 'b']):
        os.close(handle)
    with pytest.raises(UsageError, match='--share-teacher: .* is no place in a group of runs: leave it out here'):
        Group(seat.format(folder=tmp_path))
