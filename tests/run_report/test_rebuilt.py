"""Which checkpoint a report loads, and which pictures it asks of."""

import os

import pytest

from shake_mm.errors import UsageError
from shake_mm.run_report.rebuilt import Rebuilt, checkpoint_of


def test_the_last_checkpoint(tmp_path):
    """As the run has written down, also where its folder was moved; else the highest number."""
    for name in ('epoch_9.pth', 'epoch_10.pth', 'best_accuracy_top1_epoch_9.pth', 'other.pth'):
        (tmp_path / name).touch()
    assert checkpoint_of(tmp_path).name == 'epoch_10.pth'
    (tmp_path / 'last_checkpoint').write_text('/gone/epoch_9.pth')
    assert checkpoint_of(tmp_path) == tmp_path / 'epoch_9.pth'
    (tmp_path / 'last_checkpoint').write_text(str(tmp_path / 'sub' / 'elsewhere.pth'))
    assert checkpoint_of(tmp_path).name == 'epoch_10.pth'
    (tmp_path / 'last_checkpoint').write_bytes(b'\xff\xfe')
    assert checkpoint_of(tmp_path).name == 'epoch_10.pth'


def test_the_best_checkpoint(tmp_path):
    with pytest.raises(UsageError, match='holds no checkpoint'):
        checkpoint_of(tmp_path)
    with pytest.raises(UsageError, match='kept no best checkpoint'):
        checkpoint_of(tmp_path, best=True)
    for time, name in enumerate(('best_coco_bbox_mAP_epoch_12.pth', 'best_coco_bbox_mAP_epoch_3.pth')):
        (tmp_path / name).touch()
        os.utime(tmp_path / name, (time, time))
    assert checkpoint_of(tmp_path, best=True).name == 'best_coco_bbox_mAP_epoch_3.pth'


@pytest.mark.parametrize(
    ('size', 'number', 'places'),
    [(10, 3, [0, 4, 9]), (10, 100, list(range(10))), (10, 1, [0]), (1, 5, [0]), (1000, 2, [0, 999])],
)
def test_pictures_are_spread_over_the_set(size, number, places):
    """A folder of images is sorted by class: the first so many would be of one."""
    run = Rebuilt('a', None, range(size), [], None, {}, 'cpu')
    assert run.positions(number) == places
