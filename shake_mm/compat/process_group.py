"""The end of a process group, where torch may abort the process or let it wait forever."""

import gc

from torch import distributed


def leave_process_group() -> None:
    """Leave the process group, if there is one, after what is not used any more has let go of it.

    Reference cycles, such as a runner's, keep a wrapped model alive, and with it the group's threads. A process that
    ends while they live may abort ("terminate called without an active exception", pytorch/pytorch#190489). Whoever
    frees the last wrapper after the group was left may wait forever: it joins gloo's threads and holds the interpreter,
    which such a thread needs in order to drop its last tensor.
    """
    if distributed.is_available() and distributed.is_initialized():
        gc.collect()
        distributed.destroy_process_group()
