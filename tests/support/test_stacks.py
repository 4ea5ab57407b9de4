import pytest

from shake_mm import stack
from shake_mm.errors import UsageError

from ..configs.cells import CONFIGS
from . import stacks


@pytest.mark.parametrize('name', ['onedl', 'current'])
def test_only_the_refusal_of_mmrazor_skips(monkeypatch, name):
    monkeypatch.setattr(stacks, 'NAME', name)
    assert stacks.skip_for_lack(UsageError('lam=-1 of KD must be larger than 0.')) is None
    assert stacks.skip_for_lack(KeyError('mmdet.L2Loss is not in the mmpretrain::model registry.')) is None
    for refusal in (
        UsageError(stack.NO_MMRAZOR.replace('shake_mm', 'config run.py', 1)),
        KeyError('mmrazor.L2Loss is not in the mmpretrain::model registry.'),
    ):
        if name == 'onedl':
            with pytest.raises(pytest.skip.Exception, match='the onedl stack has no mmrazor'):
                stacks.skip_for_lack(refusal)
        else:
            assert stacks.skip_for_lack(refusal) is None


def test_configs_that_inherit_of_mmrazor(monkeypatch):
    monkeypatch.setattr(stack, 'find', lambda module: None)
    folder = CONFIGS / 'pkd'
    assert not stacks.runs_here(folder / 'pkd_faster-rcnn-r101_faster-rcnn-r50_2x_coco.py')
    assert stacks.runs_here(CONFIGS / 'kd' / 'kd_resnet14_resnet8_digits100.py')
