"""mmpretrain beside a transformers that its multimodal networks do not know."""

import pytest

from ..support.stacks import not_on
from .processes import COMPAT, python

STAND_IN = """
from importlib import metadata
installed = metadata.version
metadata.version = lambda name: '5.24.0' if name == 'transformers' else installed(name)
"""
"""Says that transformers 5 is installed; what is imported is the one that is there."""
LOOK = """
from mmpretrain.registry import MODELS
import mmpretrain.models, mmpretrain.datasets
print(isinstance(MODELS.get('BlipCaption'), type))
try:
    MODELS.build(dict(type='BlipCaption'))
except ImportError as error:
    print('requires extra multi-modal dependencies' in str(error))
"""


@not_on('onedl', "what is worked around is OpenMMLab's mmpretrain 1.2")
@pytest.mark.parametrize(
    ('stand_in', 'seen'), [(STAND_IN, ['False', 'True']), pytest.param('', ['True'], marks=pytest.mark.slow)]
)
def test_multimodal_networks_are_left_out_where_they_cannot_be_imported(stand_in, seen):
    apply = 'workarounds.workaround_torchvision(); assert workarounds.workaround_transformers()'
    look = LOOK if stand_in else LOOK.partition('try:')[0]
    result = python(f'{COMPAT}\n{stand_in}\n{apply}\n{look}')
    assert result.returncode == 0, result.stderr
    assert result.stdout.split() == seen
