"""What the members of runs say of validation pictures, drawn for the task that they are of."""

from collections.abc import Callable, Sequence

from ..errors import UsageError
from .activation import activation
from .agreement import agreement
from .answers import ask
from .calibration import calibration
from .detections import detections
from .features import features
from .figures import Chapter, Missing, Part, sentence
from .masks import masks
from .rebuilt import Rebuilt, rebuild, same_data, told
from .runs import Run

TITLE = 'What the members say'


def members_of(
    runs: Sequence[Run], number: int, best: bool = False, device: str = 'cpu', trust: bool = False
) -> list[Part]:
    """Load checkpoints, ask the members of pictures of the validation set, and draw what they say.

    Args:
        runs (sequence of Run): One, or several to compare.
        number (int): At most how many pictures they are asked of.
        best (bool): Whether the best checkpoints are loaded, not the last ones. Defaults to False.
        device (str): Where the networks run. Defaults to ``'cpu'``.
        trust (bool): See :func:`.rebuild`. Defaults to False.

    Returns:
        list[Part]: With a sentence in the place of what cannot be had.
    """
    rebuilt: list[Rebuilt] = []
    lacking: list[Part] = []
    for run in runs:
        try:
            rebuilt.append(rebuild(run, best, device, trust))
            if not same_data(rebuilt[0], rebuilt[-1]):
                rebuilt.pop()
                raise UsageError(f'{run.name} was validated on other pictures, or classes, than {rebuilt[0].name}.')
        except UsageError as error:
            lacking.append(Missing(f'The members of {run.name}', str(error)))
    if not rebuilt:
        return [Chapter(TITLE, 'The members could not be asked.'), *lacking]
    asked = len(rebuilt[0].positions(number))
    weights = ', '.join(f'{run.checkpoint.name} of {run.name}' for run in rebuilt)
    about = (
        f'Asked of {sentence(asked, "picture")} of the validation set, which has {len(rebuilt[0].dataset):,}, with the '
        f'weights of {weights}. Teachers and proxies are measured on the whole set by tools/test.py --member.'
    )
    try:
        with told():
            return [Chapter(TITLE, about), *lacking, *_draw_for(rebuilt)(rebuilt, number)]
    except UsageError as error:
        return [Chapter(TITLE, about), *lacking, Missing('Answers', str(error))]


def _draw_for(runs: Sequence[Rebuilt]) -> Callable[[Sequence[Rebuilt], int], list[Part]]:
    """What draws the answers to such pictures, by what is annotated in them."""
    sample = runs[0].dataset[0].get('data_samples')
    known = {'gt_label': _classifiers, 'gt_instances': detections, 'gt_sem_seg': masks}
    for field, draw in known.items():
        if sample is not None and field in sample:
            return draw
    raise UsageError('The pictures have neither a class, nor objects, nor a class for each pixel.')


def _classifiers(runs: Sequence[Rebuilt], number: int) -> list[Part]:
    asked = ask(runs, number)
    return [*agreement(asked), calibration(asked), *activation(asked), *features(asked)]
