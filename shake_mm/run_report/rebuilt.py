"""A run's members and validation pictures, as its folder keeps them, to ask the members once more."""

import copy
import io
import logging
import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, nullcontext, redirect_stdout
from pathlib import Path
from typing import Any, NamedTuple

from mmengine.config import Config, ConfigDict
from mmengine.dataset import pseudo_collate
from mmengine.logging import MMLogger
from mmengine.registry import DATASETS, init_default_scope
from mmengine.utils import import_modules_from_strings

from ..checks import fit_views
from ..checks.data import building
from ..checks.runner import read_coco_safely
from ..engine import Distiller
from ..errors import UsageError
from ..explain import explain, explain_build, reason
from ..members import load_strictly, names_in, weights_in
from ..members.checkpoint import read_checkpoint
from ..registry import MODELS
from ..safe_io import guard_loaders
from .runs import Run
from .trust import check_named, registered_alone

LOADER = 'val_dataloader'
BATCH = 32


class Rebuilt(NamedTuple):
    """A run as it stands in one of its checkpoints.

    Args:
        name (str): The run's.
        model (Distiller): In evaluation mode. A network that was trained alone is the student of one without teachers.
        dataset (Any): Its validation set.
        classes (list[str]): Their names.
        checkpoint (Path): Whose weights it has.
        data (dict): Config of the validation set.
        device (str): Where the model is.
    """

    name: str
    model: Distiller
    dataset: Any
    classes: list[str]
    checkpoint: Path
    data: dict[str, Any]
    device: str

    def positions(self, number: int) -> list[int]:
        """At most ``number`` samples, evenly spread over the set, which may be sorted by class."""
        whole = len(self.dataset)
        count = min(number, whole)
        return [round(i * (whole - 1) / max(count - 1, 1)) for i in range(count)]

    def batches(self, positions: Sequence[int], size: int = BATCH) -> Iterator[dict]:
        """The samples in batches, as the model's ``val_step`` takes them."""
        for i in range(0, len(positions), size):
            yield pseudo_collate([self.dataset[place] for place in positions[i : i + size]])

    def titles(self) -> dict[str, str]:
        """What the members are called, by name: the number is left out where there is one of a kind."""
        names = [*self.model.members.networks, *self.model.objective.proxies]
        kinds = [name.rstrip('0123456789') for name in names]
        return {name: kind if kinds.count(kind) == 1 else name for name, kind in zip(names, kinds)}


def rebuild(run: Run, best: bool = False, device: str = 'cpu', trust: bool = False) -> Rebuilt:
    """Build a run's model and validation set from the config that it kept, and load a checkpoint.

    The config is read as data, weights are read as such, and only what the registries of installed packages list is
    built.

    Args:
        run (Run): Its folder, as it was read.
        best (bool): Whether the weights are those of the best checkpoint that the run kept. Defaults to False: the
            last one.
        device (str): Where the model is to run. Defaults to ``'cpu'``.
        trust (bool): Whether modules and configs that the config names are run, as in a training. Defaults to False.

    Raises:
        UsageError: If something of it is not there, cannot be built here, or is not to be run.
    """
    if not run.kept.get('model') or not run.kept.get(LOADER):
        raise UsageError(f'{run.name} kept no config with a model and a {LOADER}.')
    checkpoint = checkpoint_of(run.folder, best)
    if not trust:
        check_named(run.kept, run.name)
    otherwise = f'{run.name} cannot be built anew from the config that it kept'
    with quiet(), guard_loaders(), told(otherwise), nullcontext() if trust else registered_alone(run.name):
        cfg = Config(copy.deepcopy(run.kept))
        import_modules_from_strings(**(cfg.get('custom_imports') or {'imports': []}))
        init_default_scope(cfg.get('default_scope') or 'mmengine')
        read_coco_safely()
        model = _model(cfg, checkpoint)
        config = cfg[LOADER].dataset
        with building(LOADER, config):
            dataset = DATASETS.build(config)
            dataset.full_init()
        fit_views(cfg, model, [LOADER])
        names = names_in(dataset.metainfo)
        model.members.fit_classes(names, f'{LOADER}.dataset', ())
    number = model.members.number_of_classes('student') or 0
    classes = [str(name) for name in names or range(number)]
    return Rebuilt(run.name, model.to(device).eval(), dataset, classes, checkpoint, config.to_dict(), device)


def checkpoint_of(folder: Path, best: bool = False) -> Path:
    """The checkpoint that a run wrote last, or the best one that it kept.

    Raises:
        UsageError: If there is none.
    """
    if best:
        found = sorted(folder.glob('best_*.pth'), key=lambda path: path.stat().st_mtime)
        if not found:
            raise UsageError(f'{folder.name} kept no best checkpoint (best_*.pth): leave out --best.')
        return found[-1]
    try:
        named = Path((folder / 'last_checkpoint').read_text(encoding='utf-8').strip())
    except (OSError, UnicodeDecodeError):
        named = Path()
    for path in (folder / named.name, named):  # the folder may have been moved
        if path.suffix == '.pth' and path.is_file():
            return path
    numbers = {path: re.fullmatch(r'(?:epoch|iter)_(\d+)', path.stem) for path in folder.glob('*.pth')}
    counted = {path: int(match[1]) for path, match in numbers.items() if match}
    if not counted:
        raise UsageError(f'{folder.name} holds no checkpoint.')
    return max(counted, key=counted.__getitem__)


def _model(cfg: Config, checkpoint: Path) -> Distiller:
    """The distiller of a config with the weights of a checkpoint; frozen teachers have those of their own."""
    config = copy.deepcopy(cfg.model)
    if cfg.get('data_preprocessor') is not None:
        config.setdefault('data_preprocessor', cfg.data_preprocessor)
    teachers = config.get('teachers') or []
    for entry in [teachers] if isinstance(teachers, dict) else teachers:
        for way in ('cache', 'inference') if isinstance(entry, dict) else ():
            entry.pop(way, None)  # how a training computes fast is not what it computes
    config.pop('compile', None)
    model = MODELS.build(config)
    alone = not isinstance(model, Distiller)
    if alone:
        task = ConfigDict(task=dict(of='student'))
        model = MODELS.build(ConfigDict(type='shake_mm.Distiller', student=config, terms=task))
    target, where, source = model.student if alone else model, 'the checkpoint', str(checkpoint)
    loaded = read_checkpoint(source, where)
    state = weights_in(loaded, where, source, model.student, whole=not alone, tell=False)
    load_strictly(target, state, where, source)
    return model


@contextmanager
def told(otherwise: str = '') -> Iterator[None]:
    """Turn the errors of others, of which we know what they mean, into sentences.

    Args:
        otherwise (str): What any other error means here; by default it is a defect, and passes through.

    Raises:
        UsageError: In their place.
    """
    try:
        yield
    except UsageError:
        raise
    except Exception as error:
        sentence = explain(error) or explain_build(error)
        if sentence is None and not otherwise:
            raise
        sentence = sentence or f'{otherwise} ({reason(error)})'
        raise UsageError(f'{sentence.rstrip(".")}.') from error


@contextmanager
def quiet() -> Iterator[None]:
    """Silence mmengine's and pycocotools' messages on building models and data sets."""
    logger = MMLogger.get_current_instance()
    level = logger.level
    logger.setLevel(logging.WARNING)
    try:
        with redirect_stdout(io.StringIO()):
            yield
    finally:
        logger.setLevel(level)


class Voice(NamedTuple):
    """A member of one of several runs.

    Args:
        title (str): What it is called in pictures.
        run (Rebuilt): Whose member it is.
        member (str): Its name there.
        teacher (str, optional): The title of the teacher to compare it with; None of teachers, and where there is none.
    """

    title: str
    run: Rebuilt
    member: str
    teacher: str | None = None


def voices(runs: Sequence[Rebuilt]) -> list[Voice]:
    """The members of all runs: teachers, students, proxies; a frozen teacher that runs share is there once."""
    teachers: dict[str, Voice] = {}
    others: list[tuple[Voice, str | None]] = []
    for run in runs:
        prefix = '' if len(runs) == 1 else f'{run.name}: '
        titles = run.titles()
        own = {member: _identity(run, member) for member in titles if member.startswith('teacher')}
        for member, identity in own.items():
            teachers.setdefault(identity, Voice(prefix + titles[member], run, member))
        first = next(iter(own.values()), None)
        others += [(Voice(prefix + titles[member], run, member), first) for member in titles if member not in own]
    if len(teachers) == 1:
        teachers = {identity: voice._replace(title='teacher') for identity, voice in teachers.items()}
    spare = next(iter(teachers), None)  # for a run that has none
    found = [voice._replace(teacher=teachers[key].title) if (key := own or spare) else voice for voice, own in others]
    found.sort(key=lambda voice: voice.member != 'student')
    return [*teachers.values(), *found]


def _identity(run: Rebuilt, member: str) -> str:
    """What two frozen teachers have in common that are one; a trained one is its run's own."""
    spec = run.model.members.specs[member]
    return f'{run.name} {member}' if spec.trainable else repr((spec.checkpoint, spec.key, spec.config))


def same_data(first: Rebuilt, other: Rebuilt) -> bool:
    """Whether two runs were validated on the same pictures, prepared alike."""
    return isinstance(other.data, Mapping) and first.data == other.data and first.classes == other.classes
