"""How much of a network is in a state dict."""

from collections.abc import Mapping

from torch import Tensor, nn

from ..errors import UsageError


def check_fits(mine: Mapping[str, Tensor], state: Mapping[str, Tensor], what: str, mend: str) -> None:
    """Refuse a state dict that holds less than half of a network's tensors in their shape.

    mmengine loads what fits and only warns. A new classifier on known features is a fair use of that; weights of
    another network are not.

    Args:
        mine (dict): The network's state dict.
        state (dict): What is to be loaded.
        what (str): The beginning of the message, such as ``"load_from: checkpoint 'a.pth' has"``.
        mend (str): What to do, at its end.

    Raises:
        UsageError: With the two numbers.
    """
    fitting = [key for key, value in mine.items() if key in state and state[key].shape == value.shape]
    if 2 * len(fitting) < len(mine):
        raise UsageError(
            f'{what} only {len(fitting)} of the {len(mine)} tensors of the network in their shape, it is of another '
            f'network: {mend}.'
        )


def state_within(network: nn.Module, prefix: str) -> dict[str, Tensor]:
    """The state dict of a network with the names that it has as a part of another, in the order of its own."""
    holder = nn.Module()
    holder.add_module('network', network)
    return {f'{prefix}{name.removeprefix("network.")}': value for name, value in holder.state_dict().items()}


def fit_student_state(student: nn.Module, state: dict[str, Tensor], prefix: str) -> None:
    """Turn a plain checkpoint of the student into the student's part of a distiller's, in place.

    Args:
        student (nn.Module): The student.
        state (dict): What a distiller is about to load.
        prefix (str): Prefix of all keys.

    Raises:
        UsageError: If it is of another network.
    """
    mine = state_within(student, f'{prefix}student.')
    if state and not any(key in state for key in mine):
        # By itself a network may save other names than within another: mmpretrain's of timm's.
        for key, name in zip(mine, student.state_dict()):
            plain = next((each for each in (f'{prefix}student.{name}', prefix + name) if each in state), None)
            if plain is not None:
                state[key] = state.pop(plain)
    if state:
        check_fits(mine, state, 'checkpoint: it has', 'give the config that it was trained with')
