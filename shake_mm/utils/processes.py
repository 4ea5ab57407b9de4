"""Helpers for processes."""

import gc
import multiprocessing
from collections.abc import Iterator
from contextlib import contextmanager


def kill_data_workers() -> None:
    """Kill the data workers of this process: its daemon children, which it would otherwise wait for."""
    for process in multiprocessing.active_children():
        if process.daemon:
            process.kill()


@contextmanager
def garbage_is_new() -> Iterator[None]:
    """While it is entered, garbage is looked for among what is made inside alone.

    mmengine asks for a collection for every data set, and to look through all that was imported takes a quarter of a
    second each time.
    """
    gc.freeze()
    try:
        yield
    finally:
        gc.unfreeze()
