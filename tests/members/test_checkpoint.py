"""Weights from a model zoo: found by the name of a config, and what published files hold beside a network."""

import mmengine.hub.hub
import pytest
import torch
from mmdet.registry import MODELS
from mmengine.runner import CheckpointLoader
from torch import nn

from shake_mm.errors import UsageError
from shake_mm.members import load_strictly, read_weights

ZOO = 'https://download.openmmlab.com'


@pytest.fixture
def asked(monkeypatch):
    """What would be loaded; nothing is, and nothing installed."""
    sources = []

    def load(source, map_location):
        sources.append(source)
        return {'state_dict': {'weight': torch.ones(1)}}

    def install(package):
        if package not in ('mmdet', 'mmpretrain', 'shake_mm'):
            pytest.fail(f'{package} would be installed')

    monkeypatch.setattr(CheckpointLoader, 'load_checkpoint', load)
    monkeypatch.setattr(mmengine.hub.hub, 'install_package', install)
    return sources


@pytest.mark.parametrize(
    'name, address',
    [
        (
            'mmdet::retinanet/retinanet_r101_fpn_2x_coco.py',
            f'{ZOO}/mmdetection/v2.0/retinanet/retinanet_r101_fpn_2x_coco/'
            'retinanet_r101_fpn_2x_coco_20200131-5560aee8.pth',
        ),
        (
            'mmpretrain::resnet/resnet34_8xb32_in1k.py',
            f'{ZOO}/mmclassification/v0/resnet/resnet34_8xb32_in1k_20210831-f257d4e6.pth',
        ),
    ],
)
def test_a_config_of_the_zoo_names_its_weights(name, address, asked):
    assert read_weights(name) == {'weight': torch.ones(1)}
    assert asked == [address]


@pytest.mark.parametrize(
    'name',
    [
        'mmdet::retinanet/retinanet_r102_fpn_2x_coco.py',  # no such config
        'mmdet::_base_/models/retinanet_r50_fpn.py',  # a config, but not of the zoo
        'mmdet::retinanet_r101_fpn_2x_coco.py',  # without its folder
        'shake_mm::kd/kd_resnet14_resnet8_digits100.py',  # listed without weights
        'mmyolo::yolov5/yolov5_s.py',  # not installed, and it stays so
        'no such package::a/b.py',
    ],
)
def test_what_no_zoo_lists_is_refused(name, asked):
    with pytest.raises(UsageError, match=r'^teacher0: checkpoint .* names no config for which the model zoo of'):
        read_weights(name, 'teacher0')
    assert asked == []


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
