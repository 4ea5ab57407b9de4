"""Names of weights lead to files: of model zoos, of stores, on the network."""

import mmengine.hub.hub
import pytest
import torch

from shake_mm import stack
from shake_mm.errors import UsageError
from shake_mm.safe_io import read, sources
from tests.support.loopback import NAMES, serving, stand_in

ZOO = 'https://download.openmmlab.com'
MIRROR = 'https://mmassets.onedl.ai' if stack.name() == 'onedl' else ZOO
"""Where OneDL's mmpretrain and mmengine have their weights."""


@pytest.fixture
def asked(monkeypatch, tmp_path):
    """The addresses that would be fetched; nothing is, and nothing installed."""
    addresses = []
    torch.save({'state_dict': {'weight': torch.ones(1)}}, tmp_path / 'fetched.pth')

    def fetch(address):
        addresses.append(address)
        return str(tmp_path / 'fetched.pth')

    def install(package):
        if package not in ('mmdet', 'mmpretrain', 'shake_mm'):
            pytest.fail(f'{package} would be installed')

    monkeypatch.setattr(sources, 'fetch', fetch)
    monkeypatch.setattr(mmengine.hub.hub, 'install_package', install)
    return addresses


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
            f'{MIRROR}/mmclassification/v0/resnet/resnet34_8xb32_in1k_20210831-f257d4e6.pth',
        ),
        ('torchvision://resnet50', 'https://download.pytorch.org/models/resnet50-0676ba61.pth'),
        ('modelzoo://resnet50', 'https://download.pytorch.org/models/resnet50-0676ba61.pth'),
        ('torchvision://resnet50.imagenet1k_v2', 'https://download.pytorch.org/models/resnet50-11ad3fa6.pth'),
        (
            'open-mmlab://detectron2/resnet50_caffe',
            f'{MIRROR}/pretrain/third_party/resnet50_msra-5891d200.pth',
        ),
        ('openmmlab://vgg16_caffe', f'{MIRROR}/pretrain/third_party/vgg16_caffe-292e1171.pth'),
        ('https://example.org/a-01234567.pth', 'https://example.org/a-01234567.pth'),
    ],
)
def test_a_name_leads_to_its_address(name, address, asked):
    assert read(name)['state_dict'] == {'weight': torch.ones(1)}
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
        read(name, 'teacher0')
    assert asked == []


@pytest.mark.parametrize(
    'name, words',
    [
        ('torchvision://resnet51', 'names no model of the zoo torchvision: correct the name'),
        ('mmcls://resnet51', 'names no model of the zoo mmcls'),
        ('ftp://example.org/a.pth', 'has a prefix that is none of http://, https://, torchvision://'),
        ('file:///etc/passwd', 'has a prefix that is none of'),
        ('data://text', 'has a prefix that is none of'),
        ('pavi://net', 'needs the package pavi, which is not installed'),
        ('s3://bucket/net.pth', 'needs the package petrel_client, which is not installed'),
        ('gone.pth', 'does not exist: train it first, or correct the path'),
    ],
)
def test_other_names_are_refused(name, words, asked):
    with pytest.raises(UsageError, match=words):
        read(name, 'teacher0')
    assert asked == []


@pytest.mark.parametrize('name', NAMES)
def test_weights_come_from_everywhere(name, monkeypatch, tmp_path):
    monkeypatch.setenv('TORCH_HOME', str(tmp_path / 'torch'))
    torch.save({'state_dict': {'backbone.a': torch.ones(2), 'head.b': torch.zeros(1)}}, tmp_path / 'net.pth')
    content = (tmp_path / 'net.pth').read_bytes()
    with serving({'net.pth': content}) as folder:
        stand_in(monkeypatch, f'{folder}/net.pth', content)
        state = read(name)['state_dict']
    # mmengine takes the backbone alone from this zoo.
    assert list(state) == (['a'] if name.startswith('mmcls') else ['backbone.a', 'head.b'])


def test_a_zoo_of_ones_own_may_list_files(monkeypatch, tmp_path):
    """mmengine reads ``open_mmlab.json`` in its home."""
    monkeypatch.setenv('MMENGINE_HOME', str(tmp_path))
    torch.save({'a': torch.ones(2)}, tmp_path / 'mine.pth')
    (tmp_path / 'open_mmlab.json').write_text('{"mine": "mine.pth", "gone": "gone.pth"}')
    assert list(read('open-mmlab://mine')) == ['a']
    with pytest.raises(UsageError, match='does not exist|No such file'):
        read('open-mmlab://gone')
