"""Distill a small detector and compare: ``python tools/demo_det.py`` (or ``make demo-det``).

Trains a teacher, then the same student alone, by KD and by SHAKE, on handwritten digits on textured canvases; tabulates
AP, draws what teacher, student and proxy find, exports a SHAKE student and detects with it in plain mmdet.
"""

import argparse
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

from mmengine.registry import DATASETS, init_default_scope
from rich import box
from rich.console import Console
from rich.table import Table

from analysis import Stat, demonstration, difference
from analysis.demonstration import count_seeds, evaluate_member
from analysis.options import DETECTORS
from analysis.options import parse_demo_det as parse_args
from shake_mm import compat
from shake_mm.export import export_student
from shake_mm.grid.run import Run
from shake_mm.grid.scalars import Row, read_run
from shake_mm.outputs import claim
from shake_mm.reports import write_figure, write_record
from shake_mm.run_report import read
from shake_mm.run_report.detections import find
from shake_mm.run_report.rebuilt import quiet, rebuild
from shake_mm.run_report.scenes import SCORE, Scene, annotated, confident, draw_scenes, original

CONFIGS = Path(compat.configs_dir())
METRICS = {'AP': 'coco/bbox_mAP', 'AP50': 'coco/bbox_mAP_50'}
PROXY = "SHAKE's proxy"
MEMBERS = {'teacher': 'teacher', 'student': 'student (SHAKE)', 'proxy': PROXY}
SCENES = 3


def plan(args: argparse.Namespace) -> tuple[Run, dict[str, list[Run]]]:
    """The teacher's run, and the students' by method."""
    teacher, student = f'{args.detector}_r18-w32', f'{args.detector}_r18-w8'
    pair = f'{teacher}_{student}'.replace('_r18', '-r18')
    methods = {
        'baseline': CONFIGS / 'baseline' / f'{student}_digit-scenes.py',
        'KD': CONFIGS / 'kd' / f'kd_{pair}_digit-scenes.py',
        'SHAKE': CONFIGS / 'shake' / f'shake_{pair}_digit-scenes.py',
    }
    return demonstration.plan(args, CONFIGS / 'baseline' / f'{teacher}_digit-scenes.py', methods)


def points(row: Row) -> dict[str, float]:
    """AP and AP50 of a validation, in points. CocoMetric reports nothing where nothing is detected: that is 0."""
    return {name: 100 * row.get(key, 0.0) for name, key in METRICS.items()}


def measure(
    teacher: Run, students: Mapping[str, list[Run]], threads: int, console: Console
) -> dict[str, list[dict[str, float]]]:
    """AP and AP50 of each seed: the students' last validation, and the proxies', which speak in the students' place."""
    console.print('measuring the proxy …')
    found = {'teacher': [points(read_run(teacher.work_dir).last(teacher.epochs))]}
    for name, runs in students.items():
        found[name] = [points(read_run(run.work_dir).last(run.epochs)) for run in runs]
    proxies = [evaluate_member(run, 'proxy0', threads) for run in students['SHAKE']]
    return {**found, PROXY: [points(row) for row in proxies]}


def summarize(
    args: argparse.Namespace, epochs: int, found: Mapping[str, list[dict[str, float]]], baselines: Sequence[Sequence]
) -> dict:
    """Everything that was measured, as plain values.

    Args:
        args (Namespace): The command line.
        epochs (int): How many were trained.
        found (dict): From :func:`measure`.
        baselines (sequence of sequence): All validations of each baseline's run.
    """
    stats = {name: {key: Stat.of(row[key] for row in rows) for key in METRICS} for name, rows in found.items()}
    curves = [[points(row)['AP'] for row in rows] for rows in baselines]
    return {
        'detector': args.detector,
        'epochs': epochs,
        'seeds': list(args.seeds),
        'methods': {
            name: {key: stat._asdict() for key, stat in stats[name].items()} | {'by seed': rows}
            for name, rows in found.items()
        },
        'differences': [
            difference(f'AP: {a}', stats[a]['AP'], b, stats[b]['AP'])
            for a, b in (('KD', 'baseline'), ('SHAKE', 'baseline'), ('SHAKE', 'KD'), (PROXY, 'SHAKE'))
        ],
        'convergence': Stat.of(curve[-1] - curve[-2] for curve in curves).mean if len(curves[0]) > 1 else None,
    }


def show(results: dict, console: Console) -> None:
    """Print the table and the sentences."""
    over = f'mean ± standard deviation over {count_seeds(len(results["seeds"]))} of the students'
    title = f'{DETECTORS[results["detector"]]} after {results["epochs"]} epochs: last epoch, {over}'
    table = Table(title=title, box=box.SIMPLE_HEAD, padding=(0, 1))
    table.add_column('method', no_wrap=True)
    for column in METRICS:
        table.add_column(column, justify='right', no_wrap=True)
    for name, stats in results['methods'].items():
        table.add_row(name, *(format(Stat(**stats[column]), '.1f') for column in METRICS))
    console.print(table)
    for sentence in results['differences']:
        console.print(sentence)
    if results['convergence'] is not None:
        console.print(f"The baseline's last two evaluations differ by {results['convergence']:+.1f} points of AP.")


def draw(run: Run, path: Path, detector: str) -> None:
    """Draw what the members of a distiller find on the first images of the validation set."""
    rebuilt, places = rebuild(read(run.work_dir)), range(SCENES)
    found = find([rebuilt], places)
    scenes = [
        Scene(
            original(rebuilt, place),
            annotated(rebuilt.dataset.get_data_info(place)),
            {member: boxes[place].surer(SCORE) for member, boxes in found.items()},
        )
        for place in places
    ]
    title = (
        f'{DETECTORS[detector]}: first images of the validation set, scores of {SCORE} or more, '
        'of several classes in one place the surest'
    )
    write_figure(path, draw_scenes(scenes, MEMBERS, rebuilt.classes, title))


def export_and_detect(run: Run, out_dir: Path, console: Console) -> None:
    """Export a student, load it by plain mmdet, detect on one image of the validation set."""
    from mmdet.apis import inference_detector, init_detector

    cfg = run.load()
    with quiet():
        checkpoint, config = export_student(cfg, str(run.checkpoint), str(out_dir))
        model = init_detector(str(config), str(checkpoint), palette='random', device='cpu')
        init_default_scope('mmdet')
        info = DATASETS.build(cfg.val_dataloader.dataset).get_data_info(0)
        found = confident(inference_detector(model, info['img_path']).pred_instances)
    labels, truth = (
        ', '.join(model.dataset_meta['classes'][label] for label in sorted(labels))
        for labels in (found.labels, annotated(info).labels)
    )
    console.print(f'Exported student: {checkpoint}\n            with: {config}', soft_wrap=True)
    console.print(
        f'Plain mmdet finds {labels or "nothing"} (scores of {SCORE} or more) in a validation image of {truth}.'
    )


def demonstrate(args: argparse.Namespace, console: Console) -> None:
    """Train, measure, show and draw the results, and export a student."""
    start = time.monotonic()
    teacher, students = plan(args)
    out_dir = Path(args.work_dir).resolve()
    for name in ('demo.png', 'results.json', demonstration.REPORT):
        claim(out_dir / name, '--work-dir', args.overwrite)
    demonstration.train(args, teacher, students, console)
    found = measure(teacher, students, args.jobs, console)
    results = summarize(args, teacher.epochs, found, [read_run(run.work_dir).val for run in students['baseline']])
    show(results, console)
    draw(students['SHAKE'][0], out_dir / 'demo.png', args.detector)
    write_record(out_dir / 'results.json', results, 'analysis.demo_det')
    export_and_detect(students['SHAKE'][0], out_dir / 'student', console)
    demonstration.report(students, out_dir, console, args.overwrite)
    console.print(f'Image: {out_dir / "demo.png"}\nFigures: {out_dir / "results.json"}', soft_wrap=True)
    console.print(f'Done in {(time.monotonic() - start) / 60:.1f} minutes.')


def main(argv: Sequence[str] | None = None) -> int:
    """Run the tool and return its exit status."""
    return demonstration.run(demonstrate, parse_args(argv))


if __name__ == '__main__':
    sys.exit(main())
