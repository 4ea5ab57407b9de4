"""Names of the weights in mmpretrain's classifiers of other libraries, inside of another model."""

import sys
from typing import Any

from ..upstream import needs

MODULES = {'timm': 'TimmClassifier', 'hugging_face': 'HuggingFaceClassifier'}
PACKAGE = 'mmpretrain.models.classifiers'


@needs(*(f'{PACKAGE}.{module}:{kind}._add_state_dict_prefix' for module, kind in MODULES.items()))
def workaround_wrapped_names() -> bool:
    """Let ``TimmClassifier`` and ``HuggingFaceClassifier`` load what they saved as a part of another model.

    By themselves they save the library's own names and add ``model.`` when they load. As a part of another model they
    save names with ``model.``, since PyTorch calls their hook for the outermost module alone, and add a second one when
    they load (``_add_state_dict_prefix`` in ``mmpretrain/models/classifiers/timm.py``). Here names that all have the
    prefix are left as they are.
    """
    kinds = [getattr(sys.modules[f'{PACKAGE}.{module}'], kind) for module, kind in MODULES.items()]
    if all(kind._add_state_dict_prefix is add_prefix for kind in kinds):
        return False
    for kind in kinds:
        kind._add_state_dict_prefix = staticmethod(add_prefix)
    return True


def add_prefix(state_dict: dict[str, Any], prefix: str, *args: Any) -> None:
    """Put ``model.`` before the names of a classifier's weights, unless all have it; see PyTorch's pre-hooks.

    Args:
        state_dict (dict): Changed in place.
        prefix (str): Of the classifier's names in it.
        *args (Any): What else PyTorch hands to such a hook.
    """
    own = [name for name in state_dict if name.startswith(prefix)]
    if all(name.startswith(f'{prefix}model.') for name in own):
        return
    for name in own:
        state_dict[f'{prefix}model.{name[len(prefix) :]}'] = state_dict.pop(name)
