"""Distill a small classifier and compare: ``python tools/demo.py`` (or ``make demo``).

Trains a teacher, then the same student alone, by KD and by SHAKE over several seeds, on pairs of handwritten digits;
draws and tabulates what came out, exports a SHAKE student and classifies an image with it in plain mmpretrain. Where
``make data`` has put Fashion-MNIST, it is shown on 5,000 of its pictures instead.
"""

import argparse
import math
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from mmengine.config import Config
from mmengine.registry import DATASETS, init_default_scope
from rich import box
from rich.console import Console
from rich.table import Table

from analysis import Stat, demonstration, over_seeds
from analysis.demonstration import count_seeds
from analysis.evidence.pages import interval
from analysis.options import parse_demo as parse_args
from analysis.plots.curves import draw_comparison
from benchmarks import step_time
from shake_mm import compat
from shake_mm.datasets.fashion import DATA_ROOT, are_there
from shake_mm.export import export_student
from shake_mm.grid.run import Run
from shake_mm.grid.runs import TRAIN
from shake_mm.grid.scalars import Scalars, read_run
from shake_mm.outputs import claim
from shake_mm.reports import write_record

CONFIGS = Path(compat.configs_dir())


class Pictures(NamedTuple):
    """What the demonstration is shown on.

    Args:
        name (str): What they are called.
        what (str): What they are, for titles.
        data (str): The set, as in the names of configs.
        options (tuple[str, ...]): ``key=value`` pairs for all configs.
        batched (bool): Whether batches are cut from one tensor.
    """

    name: str
    what: str
    data: str
    options: tuple[str, ...] = ()
    batched: bool = False

    @property
    def teacher(self) -> Path:
        """The config that trains the teacher."""
        return CONFIGS / 'baseline' / f'resnet14_{self.data}.py'

    @property
    def methods(self) -> dict[str, Path]:
        """The students' configs, by method."""
        names = {'baseline': 'baseline', 'KD': 'kd', 'SHAKE': 'shake'}
        return {name: CONFIGS / kind / f'{kind}_resnet14_resnet8_{self.data}.py' for name, kind in names.items()}


DIGITS = Pictures('digits', "pairs of scikit-learn's handwritten digits", 'digits100')
# Eight epochs: a step of the student at 32x32 takes 45 ms on one thread, one of the teacher 150.
GARMENTS = Pictures(
    'garments',
    "5,000 of Fashion-MNIST's pictures",
    'fashion-few',
    (
        'train_cfg.max_epochs=8',
        'train_cfg.val_interval=4',
        'train_cfg.dynamic_intervals=[(7,1)]',
        'param_scheduler.milestones=[5,6,7]',
    ),
    batched=True,
)
COLUMNS = {
    'accuracy/top1': 'student\n%',
    'proxy/top1': 'proxy\n%',
    'ensemble/top1': 'ensemble\n%',
    'gap/teacher': 'gap/\nteacher',
    'gap/proxy': 'gap/\nproxy',
}


def pictures_of(args: argparse.Namespace) -> Pictures:
    """Fashion-MNIST's where ``make data`` has put them, else digits; or those that the command line names."""
    wanted = args.pictures or (GARMENTS if are_there(DATA_ROOT) else DIGITS).name
    return {each.name: each for each in (DIGITS, GARMENTS)}[wanted]


def plan(args: argparse.Namespace) -> tuple[Run, dict[str, list[Run]]]:
    """The teacher's run, and the students' by method."""
    pictures = pictures_of(args)
    own = argparse.Namespace(**{**vars(args), 'cfg_options': [*pictures.options, *args.cfg_options]})
    return demonstration.plan(own, pictures.teacher, pictures.methods)


def measure_time(args: argparse.Namespace, console: Console) -> step_time.Timing:
    """Compare the times of a step, with nothing else running."""
    console.print('comparing the times of a training step in turns …')
    pictures = pictures_of(args)
    cfg = Config.fromfile(pictures.methods['KD'])
    student = {'model': cfg.model.student, **{key: cfg[key] for key in ('data_preprocessor', 'default_scope')}}
    loader = cfg.train_dataloader
    return step_time.measure(
        {'config': student},
        str(pictures.teacher),
        methods=('baseline', 'kd', 'shake'),
        image_size=loader.dataset.get('image_size', 32),
        batch_size=loader.batch_size,
        rounds=args.rounds,
    )


def summarize(
    logs: dict[str, list[Scalars]],
    epochs: int,
    teacher: float,
    timing: step_time.Timing,
    seeds: Sequence[int],
    what: str,
) -> dict:
    """Everything that was measured, as plain values."""
    stats = {name: over_seeds([run.last(epochs) for run in runs]) for name, runs in logs.items()}
    curves = [run.column('accuracy/top1')[1] for run in logs['baseline']]
    return {
        'epochs': epochs,
        'pictures': what,
        'seeds': list(seeds),
        'teacher': teacher,
        'methods': {
            name: {key: stat[key]._asdict() for key in COLUMNS if key in stat}
            | {'accuracy by seed': _accuracies(logs[name], epochs)}
            for name, stat in stats.items()
        },
        'differences': [
            paired(a, _accuracies(logs[a], epochs), b, _accuracies(logs[b], epochs))
            for a, b in (('KD', 'baseline'), ('SHAKE', 'baseline'), ('SHAKE', 'KD'))
        ],
        'convergence': Stat.of(c[-1] - c[-2] for c in curves).mean if len(curves[0]) > 1 else None,
        'time': timing.as_dict(),
    }


def _accuracies(runs: Sequence[Scalars], epochs: int) -> list[float]:
    return [run.last(epochs)['accuracy/top1'] for run in runs]


def paired(name_a: str, a: Sequence[float], name_b: str, b: Sequence[float]) -> str:
    """Describe a difference, paired by seed, in one sentence: with the interval that so few seeds allow.

    Args:
        name_a (str): One method.
        a (sequence of float): Its accuracies, seed by seed.
        name_b (str): The method that is subtracted.
        b (sequence of float): Its accuracies, of the same seeds.

    Returns:
        str: The sentence, with Student's interval at 95 %.
    """
    mean, half = interval([x - y for x, y in zip(a, b, strict=True)])
    sentence = f'{name_a} − {name_b} = {mean:+.2f} points'
    if math.isnan(half):
        return f'{sentence}, measured with a single seed: nothing can be said of others.'
    verdict = 'which tells neither way' if abs(mean) <= half else f'so {name_a} is {"ahead" if mean > 0 else "behind"}'
    return f'{sentence}, 95 % interval {mean - half:+.2f} to {mean + half:+.2f} of {count_seeds(len(a))}, {verdict}.'


def show(results: dict, console: Console) -> None:
    """Print the table and the sentences."""
    seeds = len(results['seeds'])
    title = f'After {results["epochs"]} epochs: last epoch, mean ± standard deviation over {count_seeds(seeds)}'
    table = Table(title=title, box=box.SIMPLE_HEAD, padding=0)
    table.add_column('method', no_wrap=True)
    for title in (*COLUMNS.values(), 'time\n/ KD'):
        table.add_column(title, justify='right', no_wrap=True)
    ratios = {**results['time']['ratios'], 'kd/kd': {'median': 1.0}}
    for name, stats in results['methods'].items():
        cells = [_cell(key, stats) for key in COLUMNS]
        table.add_row(name, *cells, f'{ratios[f"{name.lower()}/kd"]["median"]:.2f}')
    console.print(table)
    console.print(
        f'Teacher: {results["teacher"]:.2f} %. Gaps are KL(teacher ‖ student) and KL(proxy ‖ student) in nats.'
    )
    console.print(*(f'Student accuracy: {sentence}' for sentence in results['differences']), sep='\n')
    if results['convergence'] is not None:
        console.print(f"The baseline's last two evaluations differ by {results['convergence']:+.2f} points.")
    spread = results['time']['ratios']['shake/kd']
    console.print(
        f'A SHAKE step takes {spread["median"]:.2f} of a KD step ({spread["low"]:.2f} to {spread["high"]:.2f} '
        f'over {results["time"]["setting"]["rounds"]} rounds in turns).'
    )


def _cell(key: str, stats: dict) -> str:
    digits = {'gap/teacher': '.3f', 'gap/proxy': '.4f'}.get(key, '.2f')
    return format(Stat(**stats[key]), digits).replace(' ', '') if key in stats else '–'


def export_and_classify(run: Run, out_dir: Path, console: Console) -> bool:
    """Export a student, load it by plain mmpretrain, classify one image of the validation set."""
    from mmpretrain import ImageClassificationInferencer

    cfg = run.load()
    checkpoint, config = export_student(cfg, str(run.checkpoint), str(out_dir))
    inferencer = ImageClassificationInferencer(model=str(config), pretrained=str(checkpoint), device='cpu')
    init_default_scope('mmpretrain')
    dataset = DATASETS.build(cfg.val_dataloader.dataset)
    sample = dataset.get_data_info(0)
    found = inferencer(sample['img'])[0]
    label = dataset.metainfo['classes'][sample['gt_label']]
    predicted = dataset.metainfo['classes'][found['pred_label']]
    console.print(f'Exported student: {checkpoint}\n            with: {config}', soft_wrap=True)
    console.print(
        f'Plain mmpretrain classifies a validation image of {label} as {predicted} (score {found["pred_score"]:.2f}).'
    )
    return label == predicted


def demonstrate(args: argparse.Namespace, console: Console) -> None:
    """Train, measure, show and draw the results, and export a student."""
    start, pictures = time.monotonic(), pictures_of(args)
    more = '' if pictures is GARMENTS else ' `make data` fetches real ones.'
    console.print(f'Pictures: {pictures.what}.{more}', soft_wrap=True)
    teacher, students = plan(args)
    out_dir = Path(args.work_dir).resolve()
    for name in ('demo.png', 'results.json', demonstration.REPORT):
        claim(out_dir / name, '--work-dir', args.overwrite)
    demonstration.train(args, teacher, students, console, (*TRAIN, *(['--batched'] if pictures.batched else [])))
    logs = {name: [read_run(run.work_dir) for run in runs] for name, runs in students.items()}
    accuracy = read_run(teacher.work_dir).last(teacher.epochs)['accuracy/top1']
    results = summarize(logs, teacher.epochs, accuracy, measure_time(args, console), args.seeds, pictures.what)
    show(results, console)
    title = f'ResNet-14 teaches a half-width ResNet-8 on {pictures.what}, {count_seeds(len(args.seeds))}'
    draw_comparison(logs, out_dir / 'demo.png', accuracy, title)
    write_record(out_dir / 'results.json', results, 'analysis.demo')
    export_and_classify(students['SHAKE'][0], out_dir / 'student', console)
    alone = results['methods']['baseline']['accuracy/top1']['mean']
    demonstration.report(students, out_dir, console, args.overwrite, alone)
    console.print(f'Image: {out_dir / "demo.png"}\nFigures: {out_dir / "results.json"}', soft_wrap=True)
    console.print(f'Done in {(time.monotonic() - start) / 60:.1f} minutes.')


def main(argv: Sequence[str] | None = None) -> int:
    """Run the tool and return its exit status."""
    return demonstration.run(demonstrate, parse_args(argv))


if __name__ == '__main__':
    sys.exit(main())
