"""Distill a small classifier and compare: ``python tools/demo.py`` (or ``make demo``).

Trains a teacher, then the same student alone, by KD and by SHAKE over several seeds, on pairs of handwritten digits;
draws and tabulates what came out, exports a SHAKE student and classifies an image with it in plain mmpretrain.
"""

import argparse
import sys
import time
from collections.abc import Sequence
from pathlib import Path

from mmengine.config import Config
from mmengine.registry import DATASETS, init_default_scope
from rich import box
from rich.console import Console
from rich.table import Table

from analysis import Stat, demonstration, difference, over_seeds
from analysis.demonstration import count_seeds
from analysis.options import parse_demo as parse_args
from analysis.plots.curves import draw_comparison
from benchmarks import step_time
from shake_mm import compat
from shake_mm.export import export_student
from shake_mm.grid.runs import Run
from shake_mm.grid.scalars import Scalars, read_run
from shake_mm.outputs import claim
from shake_mm.reports import write_record

CONFIGS = Path(compat.configs_dir())
TEACHER = CONFIGS / 'baseline' / 'resnet14_digits100.py'
METHODS = {
    'baseline': CONFIGS / 'baseline' / 'baseline_resnet14_resnet8_digits100.py',
    'KD': CONFIGS / 'kd' / 'kd_resnet14_resnet8_digits100.py',
    'SHAKE': CONFIGS / 'shake' / 'shake_resnet14_resnet8_digits100.py',
}
COLUMNS = {
    'accuracy/top1': 'student\n%',
    'proxy/top1': 'proxy\n%',
    'ensemble/top1': 'ensemble\n%',
    'gap/teacher': 'gap/\nteacher',
    'gap/proxy': 'gap/\nproxy',
}


def plan(args: argparse.Namespace) -> tuple[Run, dict[str, list[Run]]]:
    """The teacher's run, and the students' by method."""
    return demonstration.plan(args, TEACHER, METHODS)


def measure_time(args: argparse.Namespace, console: Console) -> step_time.Timing:
    """Compare the times of a step, with nothing else running."""
    console.print('comparing the times of a training step in turns …')
    cfg = Config.fromfile(METHODS['KD'])
    student = {'model': cfg.model.student, **{key: cfg[key] for key in ('data_preprocessor', 'default_scope')}}
    loader = cfg.train_dataloader
    return step_time.measure(
        {'config': student},
        str(TEACHER),
        methods=('baseline', 'kd', 'shake'),
        image_size=loader.dataset.image_size,
        batch_size=loader.batch_size,
        rounds=args.rounds,
    )


def summarize(
    logs: dict[str, list[Scalars]], epochs: int, teacher: float, timing: step_time.Timing, seeds: Sequence[int]
) -> dict:
    """Everything that was measured, as plain values."""
    stats = {name: over_seeds([run.last(epochs) for run in runs]) for name, runs in logs.items()}
    curves = [run.column('accuracy/top1')[1] for run in logs['baseline']]
    return {
        'epochs': epochs,
        'seeds': list(seeds),
        'teacher': teacher,
        'methods': {
            name: {key: stat[key]._asdict() for key in COLUMNS if key in stat}
            | {'accuracy by seed': [run.last(epochs)['accuracy/top1'] for run in logs[name]]}
            for name, stat in stats.items()
        },
        'difference': difference('SHAKE', stats['SHAKE']['accuracy/top1'], 'KD', stats['KD']['accuracy/top1']),
        'convergence': Stat.of(c[-1] - c[-2] for c in curves).mean if len(curves[0]) > 1 else None,
        'time': timing.as_dict(),
    }


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
    console.print(f'Student accuracy: {results["difference"]}')
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
    start = time.monotonic()
    teacher, students = plan(args)
    out_dir = Path(args.work_dir).resolve()
    for name in ('demo.png', 'results.json'):
        claim(out_dir / name, '--work-dir', args.overwrite)
    demonstration.train(args, teacher, students, console)
    logs = {name: [read_run(run.work_dir) for run in runs] for name, runs in students.items()}
    accuracy = read_run(teacher.work_dir).last(teacher.epochs)['accuracy/top1']
    results = summarize(logs, teacher.epochs, accuracy, measure_time(args, console), args.seeds)
    show(results, console)
    title = f'ResNet-14 teaches a half-width ResNet-8 on pairs of digits, {count_seeds(len(args.seeds))}'
    draw_comparison(logs, out_dir / 'demo.png', accuracy, title)
    write_record(out_dir / 'results.json', results, 'analysis.demo')
    export_and_classify(students['SHAKE'][0], out_dir / 'student', console)
    console.print(f'Image: {out_dir / "demo.png"}\nFigures: {out_dir / "results.json"}', soft_wrap=True)
    console.print(f'Done in {(time.monotonic() - start) / 60:.1f} minutes.')


def main(argv: Sequence[str] | None = None) -> int:
    """Run the tool and return its exit status."""
    return demonstration.run(demonstrate, parse_args(argv))


if __name__ == '__main__':
    sys.exit(main())
