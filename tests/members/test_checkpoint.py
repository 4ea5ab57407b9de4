"""The weights in published files, and how strictly they must fit."""

import pytest
import torch
from mmdet.registry import MODELS
from torch import nn

from shake_mm.errors import UsageError
from shake_mm.members import load_strictly, read_weights


def test_what_published_files_hold_beside_the_network_is_left_out(tmp_path):
    """YOLOX's hold the copies of mmdet 2's EMA hook, RTMDet's the constants of the preprocessor."""
    network = nn.Sequential(nn.Linear(2, 3), nn.BatchNorm1d(3))
    state = network.state_dict()
    extra = {f'ema_{key.replace(".", "_")}': value + 1 for key, value in state.items()}
    extra.update({'data_preprocessor.mean': torch.zeros(3, 1, 1), 'data_preprocessor.std': torch.ones(3, 1, 1)})
    torch.save({'state_dict': {**state, **extra}, 'meta': {}}, tmp_path / 'published.pth')
    found = read_weights(str(tmp_path / 'published.pth'))
    assert list(found) == list(state) and all(torch.equal(found[key], value) for key, value in state.items())
    # Only copies of what is there: anything else is of another network.
    torch.save({'state_dict': {**state, 'ema_weight': torch.ones(1)}}, tmp_path / 'other.pth')
    with pytest.raises(UsageError, match='unexpected ema_weight'):
        load_strictly(network, read_weights(str(tmp_path / 'other.pth')), 'teacher0', 'other.pth')


def test_keys_of_former_versions_are_found():
    """mmdet's first FCOS called its predictors fcos_cls, fcos_reg and fcos_centerness."""
    config = dict(type='FCOSHead', _scope_='mmdet', num_classes=3, in_channels=4, feat_channels=4, stacked_convs=1)
    config['norm_cfg'] = None
    head, other = (nn.ModuleDict({'bbox_head': MODELS.build(config)}) for _ in range(2))
    state = {key: torch.randn_like(value) for key, value in head.state_dict().items()}
    former = {key.replace('.conv_', '.fcos_'): value for key, value in state.items()}
    assert len(set(former) - set(state)) == 6
    load_strictly(head, former, 'teacher0', 'former.pth')
    assert all(torch.equal(value, state[key]) for key, value in head.state_dict().items())
    # Still all or nothing.
    before = {key: value.clone() for key, value in other.state_dict().items()}
    former['bbox_head.fcos_cls.weight'] = torch.zeros(4, 4, 3, 3)
    with pytest.raises(UsageError, match=r'shape differs bbox_head.conv_cls.weight \(\(4, 4, 3, 3\) in the file'):
        load_strictly(other, former, 'teacher0', 'former.pth')
    assert all(torch.equal(value, before[key]) for key, value in other.state_dict().items())
