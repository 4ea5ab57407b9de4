import pytest
import torch

from shake_mm.errors import UsageError
from shake_mm.models import crd_archs, crd_to_mmpretrain

from ..support.crd_networks import LAYOUTS, random_state


def test_every_network_has_a_config():
    assert set(crd_archs()) == {*LAYOUTS, 'wrn_20_8'}


@pytest.mark.parametrize(
    ('arch', 'classifier', 'inner'),
    [
        ('resnet8', 'fc', 'layer1.0.conv1.weight'),
        ('wrn_16_1', 'fc', 'bn1.running_mean'),
        ('vgg8', 'classifier', 'block0.0.bias'),
        ('MobileNetV2', 'classifier.0', 'conv1.0.weight'),
        ('ShuffleV1', 'linear', 'layer1.0.bn1.num_batches_tracked'),
    ],
)
def test_names(arch, classifier, inner):
    state = random_state(arch)
    mapped = crd_to_mmpretrain(state, arch)
    assert len(mapped) == len(state)
    assert mapped['head.fc.weight'] is state[f'{classifier}.weight']
    assert mapped['head.fc.bias'] is state[f'{classifier}.bias']
    assert mapped[f'backbone.{inner}'] is state[inner]
    assert all(key.startswith('backbone.') for key in mapped if not key.startswith('head.fc.'))


def test_no_layout_passes_for_another():
    """A strict load tells all networks apart."""
    layouts = {tuple((key, tuple(shape)) for key, shape in layout['keys'].items()) for layout in LAYOUTS.values()}
    assert len(layouts) == len(LAYOUTS)


def test_weights_of_another_family():
    with pytest.raises(UsageError, match='vgg8 keeps its linear classifier in classifier.weight'):
        crd_to_mmpretrain(random_state('resnet8'), 'vgg8')
    with pytest.raises(UsageError, match='fc.weight'):
        crd_to_mmpretrain({'fc.weight': torch.zeros(3)}, 'resnet8')


def test_unknown_network():
    with pytest.raises(UsageError, match="no network 'densenet': use one of MobileNetV2, ResNet50"):
        crd_to_mmpretrain({}, 'densenet')
