"""Message hubs in checkpoints, which torch refuses to load."""

from functools import wraps
from logging import WARNING
from typing import Any

import numpy as np
from mmengine.logging import HistoryBuffer, MessageHub, print_log

from ..upstream import needs


@needs('mmengine.logging:MessageHub.state_dict(self)', 'mmengine.logging:MessageHub.load_state_dict(self, state_dict)')
def workaround_message_hub() -> bool:
    """Write message hubs as tensors and plain Python values, and read that form beside the old one.

    mmengine pickles ``HistoryBuffer`` objects and numpy values into every checkpoint, which torch>=2.6 refuses to load
    (open-mmlab/mmengine#1655). A checkpoint written with this workaround loads with ``weights_only=True``
    anywhere; a process without it skips the log histories, with mmengine's own warning.
    """
    probe = MessageHub('probe')
    probe.update_scalar('loss', 1.0)
    if not isinstance(probe.state_dict().get('log_scalars', {}).get('loss'), HistoryBuffer):
        return False
    upstream_save, upstream_load = MessageHub.state_dict, MessageHub.load_state_dict

    @wraps(upstream_save)
    def state_dict(self: MessageHub) -> dict:
        return {part: _plain_items(values) for part, values in upstream_save(self).items()}

    @wraps(upstream_load)
    def load_state_dict(self: MessageHub, state: 'MessageHub | dict') -> None:
        if isinstance(state, dict) and 'log_scalars' in state:
            scalars = {key: _as_history(value) for key, value in state['log_scalars'].items()}
            state = {**state, 'log_scalars': scalars}
        upstream_load(self, state)

    MessageHub.state_dict, MessageHub.load_state_dict = state_dict, load_state_dict
    return True


def _plain_items(values: dict) -> dict:
    """Make a dictionary plain, leaving out, with a warning, what has no plain form."""
    plain = {}
    for key, value in values.items():
        try:
            plain[key] = _plain(value)
        except TypeError as error:
            print_log(f'{key} in message_hub is not saved: {error}', logger='current', level=WARNING)
    return plain


def _plain(value: Any) -> Any:
    """Rebuild a value from tensors and built-in types, which is all that ``weights_only=True`` loads."""
    import torch  # an import of shake_mm alone does without

    if value is None or isinstance(value, torch.Tensor | bytes):
        return value
    if isinstance(value, HistoryBuffer):
        log, count = value.data
        return dict(log_history=_plain(log), count_history=_plain(count), max_length=value.max_length)
    if isinstance(value, np.ndarray):
        return torch.from_numpy(value.copy()) if value.dtype.kind in 'biufc' else _plain(value.tolist())
    if isinstance(value, np.generic):
        return _plain(value.item())
    if isinstance(value, dict):
        return {_plain(key): _plain(item) for key, item in value.items()}
    for kind in (list, tuple, set):
        if isinstance(value, kind):
            return kind(_plain(item) for item in value)
    plain: Any
    for plain in (bool, int, float, complex, str):
        if isinstance(value, plain):
            return plain(value)
    raise TypeError(f'a {type(value).__name__} has no plain form')


def _as_history(value: Any) -> Any:
    """Rebuild a log history from its plain form; anything else passes."""
    if isinstance(value, dict) and value.keys() == {'log_history', 'count_history', 'max_length'}:
        # A runner that resumes on a device has moved all tensors of the file there.
        log, count = (value[key].cpu().numpy() for key in ('log_history', 'count_history'))
        return HistoryBuffer(log, count, value['max_length'])
    return value
