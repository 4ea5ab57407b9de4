import json

import pytest

from shake_mm.errors import UsageError
from shake_mm.grid import read_run, read_scalars

TRAIN = [{'loss': 2.0, 'epoch': 1, 'iter': 5, 'step': 5}, {'loss': 1.0, 'epoch': 2, 'iter': 10, 'step': 10}]
VAL = [{'accuracy/top1': 10.0, 'step': 1}, {'accuracy/top1': 20.0, 'step': 2}]


@pytest.fixture
def write(tmp_path):
    def write(start, rows, end=''):
        path = tmp_path / start / 'vis_data' / 'scalars.json'
        path.parent.mkdir(parents=True)
        path.write_text(''.join(json.dumps(row) + '\n' for row in rows) + end)
        return path

    return write


def test_rows_are_sorted_into_training_and_validation(write):
    scalars = read_scalars(write('1', [TRAIN[0], VAL[0], TRAIN[1], VAL[1]]))
    assert scalars.train == TRAIN and scalars.val == VAL
    assert scalars.column('accuracy/top1') == ([1, 2], [10.0, 20.0])
    assert scalars.column('loss', 'train') == ([5, 10], [2.0, 1.0])
    assert scalars.column('gap/teacher') == ([], [])


def test_a_line_that_is_being_written_is_left_out(write):
    assert read_scalars(write('1', TRAIN, end='{"loss": 0.')).train == TRAIN


def test_a_resumed_run_replaces_what_it_repeats(write, tmp_path):
    write('20260101_000000', [TRAIN[0], VAL[0], {**TRAIN[1], 'loss': 9.0}])
    write('20260101_000001', [TRAIN[1], VAL[1]])
    assert read_run(tmp_path) == (TRAIN, VAL)


def test_nothing_logged_so_far(tmp_path):
    assert read_run(tmp_path) == ([], [])


def test_last_is_the_last_and_not_the_best(write):
    scalars = read_scalars(write('1', [VAL[0] | {'accuracy/top1': 99.0}, VAL[1]]))
    assert scalars.last() == scalars.last(2) == VAL[1]
    with pytest.raises(UsageError, match='epoch 2, expected 3'):
        scalars.last(3)


def test_last_of_nothing_and_missing_files(tmp_path):
    with pytest.raises(UsageError, match='finished'):
        read_run(tmp_path).last()
    with pytest.raises(UsageError, match='cannot be read'):
        read_scalars(tmp_path / 'scalars.json')


@pytest.mark.parametrize(
    'line',
    [
        '{"step": 1',
        '{"step": 1, "loss": 1' + '0' * 400 + '}',
        '[1]',
        '{"loss": 1}',
        '{"step": "one"}',
        '{"step": 1, "loss": [1]}',
        '[' * 5000,
        '\x00' * 9,
    ],
)
def test_a_damaged_line_is_named(tmp_path, line):
    path = tmp_path / 'scalars.json'
    path.write_text('{"step": 1, "loss": 0.5}\n' + line + '\n{"step": 2, "loss": 0.5}\n')
    with pytest.raises(UsageError, match=r'scalars.json. is damaged in line 2: take the line out'):
        read_scalars(path)


def test_bytes_that_are_no_text(tmp_path):
    (tmp_path / 'scalars.json').write_bytes(b'\xff\xfe\n')
    with pytest.raises(UsageError, match='cannot be read: it is no text'):
        read_scalars(tmp_path / 'scalars.json')
