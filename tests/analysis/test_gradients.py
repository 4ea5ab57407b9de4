"""Norms of the gradients of each loss, at trunk and head of a detector in training."""

from pathlib import Path

import pytest

from analysis import gradients
from shake_mm.engine.gradient_shares import Shares

from ..test_detection_run import prepare


def test_of_a_detector_in_training(tmp_path, capsys):
    config, options = prepare('faster-rcnn', tmp_path)
    out = tmp_path / 'page.md'
    argv = [config, '--steps', '3', '--measure', '2', '--work-dir', str(tmp_path / 'work'), '--out', str(out)]
    assert gradients.main([*argv, '--cfg-options', *options]) == 0
    told = capsys.readouterr().out
    tables = told.split('| at ')[1:]
    places = [table.partition(' |')[0] for table in tables]
    assert places == ['student.neck', 'student.roi_head.bbox_head.shared_fcs.1', 'student.rpn_head.rpn_conv']
    names = {'student.loss_bbox', 'student.loss_cls', 'student.loss_rpn_bbox', 'loss_proxy_from_teacher'}
    assert all(name in tables[0] for name in names)
    assert 'loss_rpn' not in tables[1] and 'loss_proxy' not in tables[2] and 'loss_rpn_cls' in tables[2]
    assert 'Steps 2 to 3' in told and tables[0].strip().splitlines()[2] in out.read_text()
    assert not list((tmp_path / 'work').glob('*.pth'))


def test_a_table_has_means():
    """Norms 3 and 5 of 4 and 10, 1 and 5: shares 3/4 and 1/2."""
    found = [Shares('student.neck', {'a': 3.0, 'b': 1.0}), Shares('student.neck', {'a': 5.0, 'b': 5.0})]
    assert gradients.table(found).splitlines() == [
        '| at student.neck | norm | share |',
        '|---|---:|---:|',
        '| a | 4 | 62.5 % |',
        '| b | 3 | 37.5 % |',
    ]


@pytest.mark.parametrize(
    'argv, sentence',
    [
        (['--steps', '9999', '--measure', '1'], '--steps 9999: the config trains for 6: give as many or fewer'),
        (['--steps', '2', '--measure', '3'], 'argument --measure: 3 of 2 steps'),
    ],
)
def test_refusals(argv, sentence, tmp_path, capsys):
    config = Path(gradients.__file__).parents[1] / 'configs/baseline/retinanet_r18-w8_digit-scenes.py'
    if 'argument' in sentence:
        with pytest.raises(SystemExit):
            gradients.parse_args([str(config), *argv])
    else:
        config, options = prepare('retinanet', tmp_path)
        assert gradients.main([config, *argv, '--work-dir', str(tmp_path / 'w'), '--cfg-options', *options]) == 1
    assert sentence in capsys.readouterr().err
