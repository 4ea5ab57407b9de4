"""Whether the processes of a run were started for the same run."""

import inspect

from mmengine.config import Config
from mmengine.dist import all_gather_object, get_world_size
from mmengine.runner import Runner

from ..errors import UsageError
from ..hooks.resume_guard import fingerprint

OWN = ('self', 'work_dir', 'load_from', 'experiment_name', 'launcher', 'visualizer', 'log_level', 'env_cfg', 'cfg')
"""Parts of a config in which machines may differ."""
READ = [key for key in inspect.signature(Runner.__init__).parameters if key not in OWN]


def check_ranks(cfg: Config) -> None:
    """Refuse a run whose processes were given different configs: they would wait for each other, or end by a signal.

    Every process of the run must call it.

    Args:
        cfg (Config): This process's own.

    Raises:
        UsageError: In every process, naming the parts in which they differ.
    """
    if get_world_size() == 1:
        return
    plain = cfg.to_dict()
    first, *others = all_gather_object({key: fingerprint(plain.get(key)) for key in READ})
    for rank, other in enumerate(others, 1):
        differs = [key for key in READ if other[key] != first[key]]
        if differs:
            raise UsageError(
                f'the processes were given different configs, rank {rank} differs from rank 0 in {", ".join(differs)}: '
                'start all with the same config and options.'
            )
