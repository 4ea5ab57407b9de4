"""Find the finished runs below a folder and read the values that tables need.

Configs are named ``METHOD_TEACHER_STUDENT_DATASET.py``, a network trained alone ``NETWORK_DATASET.py``, a detector
``DETECTOR_BACKBONE_DATASET.py`` as in mmdet; mmengine puts a copy under the same name into the work directory of a run.
"""

import statistics
from dataclasses import dataclass, field
from pathlib import Path

from mmengine.config import Config

from shake_mm.checks.schema import at, check_schema
from shake_mm.engine.stages import total_epochs
from shake_mm.errors import UsageError
from shake_mm.grid.scalars import Row, Scalars, read_run
from shake_mm.safe_io import read_run_config

ACCURACY = 'accuracy/top1'
AP, AP50 = 'coco/bbox_mAP', 'coco/bbox_mAP_50'


@dataclass(frozen=True)
class Record:
    """One finished run.

    Args:
        method (str): The method as in the config's name, ``'shake-crd'``; empty for a network trained alone.
        pair (str): ``'TEACHER_STUDENT'``, or the name of the network.
        data (str): The data set, ``'cifar100'``.
        seed (int | None): The seed; None where the config left it to chance.
        epochs (int): How many epochs it trained.
        started (str): Time stamp of its last start.
        work_dir (Path): Where it was trained.
        metrics (dict): The validation that counts.
        seconds (float | None): Median of the logged seconds per iteration of training.
    """

    method: str
    pair: str
    data: str
    seed: int | None
    epochs: int
    started: str
    work_dir: Path
    metrics: Row = field(repr=False)
    seconds: float | None = None


@dataclass(frozen=True)
class Collection:
    """The runs below a folder.

    Args:
        records (list[Record]): The finished ones, by method, pair and seed.
        left_out (list[str]): For each of the others, why it does not count.
    """

    records: list[Record]
    left_out: list[str]


def collect(root: str | Path, data: str | None = None, best: bool = False, metric: str = ACCURACY) -> Collection:
    """Find every finished run below ``root``.

    Where the same method, pair and seed was trained more than once, the latest counts.

    Args:
        root (str | Path): A folder with work directories at any depth.
        data (str, optional): The only data set to look for.
        best (bool): Take the best validation of a run in place of the last. Defaults to False.
        metric (str): What the runs must have measured. Defaults to the accuracy; :data:`AP` collects detectors.
    """
    root, records, left_out = Path(root), {}, []
    for work_dir in sorted({path.parents[2] for path in root.rglob('vis_data/scalars.json')}):
        try:
            record = read_record(work_dir, best, metric)
        except UsageError as error:
            left_out.append(f'{work_dir.relative_to(root)}: {error}')
            continue
        if data in (None, record.data):
            # Without a seed in the config every run drew its own.
            seed = work_dir if record.seed is None else record.seed
            key = (record.data, record.method, record.pair, seed)
            earlier, later = sorted((records.get(key, record), record), key=lambda run: run.started)
            records[key] = later
            if earlier is not later:
                left_out.append(
                    f'{earlier.work_dir.relative_to(root)}: {later.work_dir.relative_to(root)} is the same training, '
                    'started later'
                )
    return Collection(sorted(records.values(), key=_order), left_out)


def read_record(work_dir: Path, best: bool = False, metric: str = ACCURACY) -> Record:
    """Read one work directory.

    Args:
        work_dir (Path): The work directory.
        best (bool): Take the best validation in place of the last. Defaults to False.
        metric (str): What must have been measured. Defaults to the accuracy.

    Raises:
        UsageError: If the run is not finished, or its config is missing or not named by the scheme.
    """
    configs = sorted(work_dir.glob('*.py'), key=lambda path: path.stat().st_mtime)
    if not configs:
        raise UsageError('there is no config')
    # A copy holds no bases, and is data: nothing in it is run.
    cfg = Config(read_run_config(configs[-1]))
    epochs = _epochs(cfg)
    scalars = read_run(work_dir)
    metrics = scalars.last(epochs)
    measured = [row for row in scalars.val if isinstance(row.get(metric), int | float)]
    if metrics not in measured:
        raise UsageError(f'{metric} was not measured')
    if best:
        metrics = max(measured, key=lambda row: row[metric])
    return Record(
        *parse_name(configs[-1].stem, distilled='student' in cfg.model, detector=metric == AP),
        seed=(cfg.get('randomness') or {}).get('seed'),
        epochs=epochs,
        started=max(path.parents[1].name for path in work_dir.glob('*/vis_data/scalars.json')),
        work_dir=work_dir,
        metrics=metrics,
        seconds=_median_time(scalars),
    )


def parse_name(name: str, distilled: bool, detector: bool = False) -> tuple[str, str, str]:
    """Read a config's name; what stands between networks and data set (``8xb32``) does not count.

    A detector's name and its backbone's, ``retinanet_r18``, are joined as they are in a pair, ``retinanet-r18``.

    Args:
        name (str): The name without its suffix.
        distilled (bool): Whether it names a distillation rather than a network.
        detector (bool): Whether a network's name has two parts. Defaults to False.

    Returns:
        tuple[str, str, str]: Method, pair and data set.

    Raises:
        UsageError: If it does not follow the scheme.
    """
    parts = name.split('_')
    if distilled and len(parts) >= 4:
        return parts[0], '_'.join(parts[1:3]), parts[-1]
    network = 2 if detector else 1
    if not distilled and len(parts) > network:
        return '', '-'.join(parts[:network]), parts[-1]
    alone = 'DETECTOR_BACKBONE_DATASET' if detector else 'NETWORK_DATASET'
    scheme = 'METHOD_TEACHER_STUDENT_DATASET' if distilled else alone
    raise UsageError(f"the config's name '{name}' does not read {scheme}")


def _epochs(cfg: Config) -> int:
    """How many epochs the run of a config was to train."""
    check_schema(cfg.to_dict(), leave_out=('*_dataloader', 'custom_hooks', 'optim_wrapper', 'param_scheduler'))
    for key in ('model', 'train_cfg.max_epochs'):
        if not list(at(cfg.to_dict(), key.split('.'))):
            raise UsageError(f'{key} is missing')
    try:
        return total_epochs(cfg)
    except (LookupError, TypeError, AttributeError):
        raise UsageError('model.stages is damaged') from None


def _median_time(scalars: Scalars) -> float | None:
    times = [time for time in scalars.column('time', 'train')[1] if isinstance(time, int | float)]
    return statistics.median(times) if times else None


def _order(record: Record) -> tuple:
    return record.data, record.method, record.pair, record.seed is None, record.seed or 0, str(record.work_dir)
