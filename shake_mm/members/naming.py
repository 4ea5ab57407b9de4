"""What other libraries call the layers of a network."""

from collections.abc import Collection

GIVE_CONFIG = 'give the config that it was trained with'
_CRD_CLASSIFIERS = ('fc.weight', 'linear.weight', 'classifier.weight', 'classifier.0.weight')


def mmpretrain_name(name: str) -> str:
    """Mmpretrain's name of a tensor of a ResNet of torchvision or timm: ``'fc.bias'`` is its ``'head.fc.bias'``."""
    return f'head.{name}' if name.startswith('fc.') else f'backbone.{name}'


def torchvision_name(name: str) -> str:
    """The name that torchvision and timm have for a tensor of a ResNet of mmpretrain."""
    return name.removeprefix('backbone.').removeprefix('head.')


def mend_for(names: Collection[str]) -> str:
    """What to do about a checkpoint whose names are not those of the network.

    Args:
        names (Collection[str]): The names in the checkpoint.
    """
    if any(name.startswith('backbone.') for name in names):
        return GIVE_CONFIG
    if 'fc.weight' in names and any(name.startswith('layer4.') for name in names):
        return (
            f"{GIVE_CONFIG}; weights of torchvision's or timm's ResNet start the backbone of another network by its "
            "`init_cfg=dict(type='Pretrained', checkpoint=…)`"
        )
    if any(name in names for name in _CRD_CLASSIFIERS):
        return f'{GIVE_CONFIG}; a file of the CRD benchmark is converted by tools/model_converters/crd_to_mmpretrain.py'
    return GIVE_CONFIG
