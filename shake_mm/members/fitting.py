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


def fit_student_state(student: nn.Module, state: dict[str, Tensor], prefix: str) -> None:
    """Turn a plain checkpoint of the student into the student's part of a distiller's, in place.

    Args:
        student (nn.Module): The student.
        state (dict): What a distiller is about to load.
        prefix (str): Prefix of all keys.

    Raises:
        UsageError: If it is of another network.
    """
    mine = student.state_dict(prefix=f'{prefix}student.')
    if state and not any(key in state for key in mine):
        plain = {key: f'{prefix}{key[len(prefix) + len("student.") :]}' for key in mine}
        state.update({key: state.pop(name) for key, name in plain.items() if name in state})
    if state:
        check_fits(mine, state, 'checkpoint: it has', 'give the config that it was trained with')
