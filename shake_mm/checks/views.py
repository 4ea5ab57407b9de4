"""What teachers see where pipelines normalize images, and not only data preprocessors."""

from collections.abc import Iterable

from mmengine.config import Config
from mmengine.logging import print_log

from ..engine import Distiller
from ..errors import UsageError
from ..members import Normalization, normalization, normalization_before


def fit_views(cfg: Config, model: Distiller, loaders: Iterable[str]) -> None:
    """Let each teacher see what it was trained on, whichever of pipeline and preprocessor normalizes, here and there.

    Args:
        cfg (Config): The run's.
        model (Distiller): Its model.
        loaders (iterable of str): Keys of the data loaders that the run uses.

    Raises:
        UsageError: If images are normalized twice, differently in two loaders, or in a way that is not known.
    """
    configs = {name: cfg[name].get('dataset') for name in loaders if cfg.get(name) is not None}
    found = {name: normalization_before(config, f'{name}.dataset') for name, config in configs.items()}
    known = {name: pipeline for name, pipeline in found.items() if pipeline is not None}
    first, pipeline = next(iter(known.items()), ('', Normalization()))
    for name, other in known.items():
        if not other.equals(pipeline):
            raise UsageError(
                f'{name}.dataset: its pipeline normalizes images otherwise than that of {first}, and a network is used '
                'to one way: give both the same Normalize, or leave that to `data_preprocessor`.'
            )
    if pipeline.shifts and normalization(model.data_preprocessor).shifts:
        raise UsageError(
            f'{first}.dataset: Normalize of its pipeline and `data_preprocessor` both subtract a mean, so that images '
            'are normalized twice: leave out one of them.'
        )
    model.members.fit_views(pipeline)
    if not pipeline.is_identity:
        print_log(
            f'The pipeline of {first} normalizes images, which is undone for teachers that were trained otherwise.',
            'current',
        )
