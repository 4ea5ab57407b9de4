"""The config of one row of a study on one pair, as one file."""

from pathlib import Path
from typing import Any

from mmengine.config import Config

from analysis.evidence.rows import Row
from analysis.evidence.studies import Study
from shake_mm.errors import UsageError

CONFIGS = Path(__file__).resolve().parents[2] / 'configs'

_CELL = """_base_ = ['{configs}/_base_/pairs/{pair}_{data}.py', '{configs}/_base_/methods/{method}.py']
model = dict(_delete_=True, student=_base_.model, teachers=_base_.teachers, **_base_.method)
"""
PEERS = ('dml', 'dml_dagger')
"""Methods whose teachers start from no checkpoint."""


def compose(study: Study, row: Row, pair: str, folder: Path) -> Path:
    """Write a row's config.

    Args:
        study (Study): The study.
        row (Row): One of its rows.
        pair (str): One of its pairs.
        folder (Path): Where it goes.

    Returns:
        Path: The file, ``ROW_PAIR_DATA.py``, merged with its bases.

    Raises:
        UsageError: If a change leads nowhere.
    """
    folder.mkdir(parents=True, exist_ok=True)
    cfg = _merged(study, row, pair, folder)
    if row.method in PEERS:
        for teacher in cfg.model.teachers:
            del teacher['checkpoint']
    for changes in (study.changes, row.changes):
        for key in changes:
            _check(cfg, key)
        cfg.merge_from_dict(dict(changes))
    _evaluate_once(cfg, study)
    path = folder / f'{slug(row.name)}_{pair}_{study.data}.py'
    cfg.dump(path)
    return path


def slug(name: str) -> str:
    """A row's name as file names have it."""
    return ''.join(letter if letter.isalnum() or letter in '.-' else '-' for letter in name.lower()).strip('-')


def _merged(study: Study, row: Row, pair: str, folder: Path) -> Config:
    if not row.method:
        return Config.fromfile(plain_config(pair, study.data))
    cell = folder / '.cell.py'
    cell.write_text(_CELL.format(configs=CONFIGS.as_posix(), pair=pair, data=study.data, method=row.method))
    cfg = Config.fromfile(cell)
    cell.unlink()
    if row.contrasted:
        loader, contrast = cfg.train_dataloader, cfg.contrast
        cfg.model.num_samples = contrast.num_samples
        own = dict(type='shake_mm.ContrastDataset', dataset=loader.dataset, negatives=contrast.negatives)
        loader.dataset = own
    for name in ('method', 'terms', 'teachers', 'contrast'):
        cfg.pop(name, None)
    return cfg


def plain_config(pair: str, data: str) -> Path:
    """The config of a pair's student alone; a detector's is called ``DETECTOR_BACKBONE``."""
    student = pair.partition('_')[2]
    file = CONFIGS / 'baseline' / f'{student}_{data}.py'
    if file.is_file():
        return file
    detector, _, width = student.rpartition('-')
    kind, _, backbone = detector.rpartition('-')
    return CONFIGS / 'baseline' / f'{kind}_{backbone}-{width}_{data}.py'


def _evaluate_once(cfg: Config, study: Study) -> None:
    """Validate at the end alone, on the pictures of the study's split."""
    if study.split == 'test':
        cfg.val_dataloader, cfg.val_evaluator = cfg.test_dataloader, cfg.test_evaluator
    cfg.train_cfg.pop('dynamic_intervals', None)
    cfg.train_cfg.val_interval = cfg.train_cfg.max_epochs
    cfg.default_hooks.checkpoint = dict(type='CheckpointHook', interval=cfg.train_cfg.max_epochs, save_optimizer=False)


def _check(cfg: Config, key: str) -> None:
    """Refuse a change whose place does not exist; its last part may be new, as a method's argument is."""
    place: Any = cfg
    *parents, _ = key.split('.')
    for name in parents:
        if isinstance(place, list):
            place = {str(number): entry for number, entry in enumerate(place)}
        place = place.get(name) if hasattr(place, 'get') else None
        if place is None:
            raise UsageError(f"the study's change {key} leads nowhere, as there is no {name}: correct it.")
