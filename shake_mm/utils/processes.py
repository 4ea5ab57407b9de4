"""Helpers for processes."""

import multiprocessing


def kill_data_workers() -> None:
    """Kill the data workers of this process: its daemon children, which it would otherwise wait for."""
    for process in multiprocessing.active_children():
        if process.daemon:
            process.kill()
