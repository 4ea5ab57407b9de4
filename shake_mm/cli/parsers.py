"""The command lines of all commands: what they take, without what they need to run, so that ``--help`` answers at once.

Nothing in here imports torch.
"""

import argparse
import os.path as osp
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NoReturn

from ..options import CACHES, parse_option

DATA_SETS = ('fashion-mnist', 'cifar10', 'cifar100', 'imagenette', 'stl10', 'tiny-imagenet', 'coco-minitrain')
"""What :mod:`.dataset_prepare` knows."""


class ArgumentParser(argparse.ArgumentParser):
    """A parser that reports a wrong command line in one sentence, without the usage."""

    def error(self, message: str) -> NoReturn:
        """Print the message and exit with status 2."""
        self.exit(2, f'error: {message}: see {self.prog} --help\n')


class Settings(argparse.Action):
    """An action for ``key=value`` pairs, as mmengine's ``DictAction``, which reports what is not such a pair."""

    def __call__(self, parser: argparse.ArgumentParser, namespace: argparse.Namespace, values: Any, *args: Any) -> None:
        """Add the pairs to the namespace."""
        options = dict(getattr(namespace, self.dest, None) or {})
        for pair in values or ():
            try:
                key, value = parse_option(pair)
            except ValueError as error:
                told = str(error) if 'dict' in str(error) else f"'{pair}' is no key=value pair with balanced brackets"
                parser.error(f'argument --cfg-options: {told}')
            options[key] = value
        setattr(namespace, self.dest, options)


def add_common_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the options that all tools take."""
    parser.add_argument(
        '--cfg-options',
        nargs='+',
        action=Settings,
        help='override settings of the config, as key=value pairs; a list is written key="[a,b]" or key=a,b, '
        'a nested one key="[(a,b),(c,d)]", in quotation marks',
    )
    parser.add_argument('--debug', action='store_true', help='show the traceback of an error')


def add_launcher_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the options of the tools that can run as several processes."""
    parser.add_argument('--launcher', choices=['none', 'pytorch', 'slurm', 'mpi'], default='none', help='job launcher')
    parser.add_argument('--local_rank', '--local-rank', type=int, default=0, help='set by the launcher')


def parse_train(argv: Sequence[str] | None = None, prog: str | None = None) -> argparse.Namespace:
    """Define and parse the command line of :mod:`.train`."""
    parser = ArgumentParser(prog=prog, description='Train a model')
    parser.add_argument('config', nargs='?', help='train config file path')
    parser.add_argument('--work-dir', help='folder for logs and checkpoints')
    parser.add_argument(
        '--resume',
        nargs='?',
        const='auto',
        help='resume from this checkpoint, or without a path from the latest one in the work directory',
    )
    parser.add_argument(
        '--exact',
        action='store_true',
        help='train so that a resumed run equals one that never stopped, and save at SIGTERM; see docs/resume.md',
    )
    parser.add_argument(
        '--batched',
        action='store_true',
        help='keep a set of small images on the device and draw whole batches from it; see docs/speed.md',
    )
    parser.add_argument(
        '--cache-teachers',
        nargs='?',
        const=CACHES,
        metavar='FOLDER',
        help=f'keep the logits of frozen teachers for every view of every image (in {CACHES})',
    )
    parser.add_argument('--share-teacher', metavar='SEAT', help='set by run_grid --share-teacher')
    parser.add_argument(
        '--dry-run', action='store_true', help='check all, train a few steps, tell time and memory, and write nothing'
    )
    parser.add_argument('--amp', action='store_true', help='train with automatic mixed precision')
    parser.add_argument('--no-validate', action='store_true', help='do not evaluate during training')
    parser.add_argument(
        '--auto-scale-lr', action='store_true', help='scale the learning rate with the actual batch size'
    )
    parser.add_argument('--no-pin-memory', action='store_true', help='disable pin_memory in dataloaders')
    parser.add_argument('--no-persistent-workers', action='store_true', help='end the workers after each epoch')
    add_common_arguments(parser)
    add_launcher_arguments(parser)
    return _config_given_back(parser, parser.parse_args(argv), resume='auto', cache_teachers=CACHES)


def _config_given_back(parser: ArgumentParser, args: argparse.Namespace, **options: str) -> argparse.Namespace:
    """Where the config follows an option whose value may be left out, argparse takes it for that value."""
    for name, default in options.items():
        if args.config is None and str(getattr(args, name)).endswith('.py'):
            args.config = getattr(args, name)
            setattr(args, name, default)
    if args.config is None:
        parser.error('the following arguments are required: config')
    return args


def parse_test(argv: Sequence[str] | None = None, prog: str | None = None) -> argparse.Namespace:
    """Define and parse the command line of :mod:`.test`."""
    parser = ArgumentParser(prog=prog, description='Test (and evaluate) a model')
    parser.add_argument('config', help='test config file path')
    parser.add_argument('checkpoint', help='checkpoint file')
    parser.add_argument('--key', help='where in the checkpoint the weights are, if it holds several networks')
    parser.add_argument('--work-dir', help='folder for the evaluation metrics')
    parser.add_argument('--out', help='file for the results: a pickle of the predictions (.pkl), or of the metrics')
    parser.add_argument('--out-item', choices=['metrics', 'pred'], default='pred', help='what --out holds')
    parser.add_argument('--overwrite', action='store_true', help='let --out and --show-dir replace what is there')
    parser.add_argument('--amp', action='store_true', help='test with automatic mixed precision')
    parser.add_argument('--show', action='store_true', help='show the predictions in a window')
    parser.add_argument('--show-dir', help='folder for images of the predictions')
    parser.add_argument('--interval', type=int, default=1, help='draw every so many samples')
    parser.add_argument('--wait-time', type=float, default=2, help='seconds that a window stays')
    parser.add_argument('--no-pin-memory', action='store_true', help='disable pin_memory in the dataloader')
    parser.add_argument('--tta', action='store_true', help='augment by tta_model and tta_pipeline, else by a flip')
    parser.add_argument('--member', help='evaluate another member of a distiller: teacher0, proxy0, …')
    add_common_arguments(parser)
    add_launcher_arguments(parser)
    return parser.parse_args(argv)


def parse_export_student(argv: Sequence[str] | None = None, prog: str | None = None) -> argparse.Namespace:
    """Define and parse the command line of :mod:`.export_student`."""
    parser = ArgumentParser(prog=prog, description='Write the student of a distillation run as a plain model')
    parser.add_argument('config', help='the distillation config')
    parser.add_argument('checkpoint', help='a checkpoint of its run')
    parser.add_argument('out', help="a folder, or a path ending in '.pth' whose stem names the files")
    parser.add_argument(
        '--class-head-only', action='store_true', help='let a DeiT answer by its class head, not the mean of both heads'
    )
    parser.add_argument('--overwrite', action='store_true', help='replace a config that no export wrote')
    parser.add_argument('--key', help='where in the checkpoint the weights are, if it holds several networks')
    add_common_arguments(parser)
    return parser.parse_args(argv)


def parse_deploy(argv: Sequence[str] | None = None, prog: str | None = None) -> argparse.Namespace:
    """Define and parse the command line of :mod:`.deploy`."""
    parser = ArgumentParser(prog=prog, description='Write a trained student as ONNX or TorchScript')
    parser.add_argument('config', help='the config of its run, or the one that an export wrote')
    parser.add_argument('checkpoint', help='a checkpoint of that run, or the exported one')
    parser.add_argument('out', help='the file, whose ending names the format: .onnx, or .pt for TorchScript')
    parser.add_argument(
        '--shape',
        type=int,
        nargs='+',
        metavar='SIDE',
        help='height and width of the pictures, or one number for both (what the test pipeline makes)',
    )
    parser.add_argument('--opset', type=int, help="version of ONNX's operators (what torch's exporter takes)")
    parser.add_argument('--overwrite', action='store_true', help='replace a file that no deployment wrote')
    parser.add_argument('--key', help='where in the checkpoint the weights are, if it holds several networks')
    add_common_arguments(parser)
    args = parser.parse_args(argv)
    if args.shape is not None and (len(args.shape) > 2 or min(args.shape) < 1):
        parser.error('argument --shape: give height and width of 1 or more, or one number for both')
    return args


def parse_cache_teacher(argv: Sequence[str] | None = None, prog: str | None = None) -> argparse.Namespace:
    """Define and parse the command line of :mod:`.cache_teacher`."""
    parser = ArgumentParser(
        prog=prog, description="Compute the logits of a config's frozen teachers ahead of the training"
    )
    parser.add_argument('config', help='a distillation config')
    parser.add_argument('--folder', default=CACHES, help=f'where to keep them ({CACHES})')
    parser.add_argument('--device', help='device of torch (the best that is there)')
    parser.add_argument('--batch-size', type=int, default=1024, help='views a pass (1024)')
    add_common_arguments(parser)
    return parser.parse_args(argv)


def parse_run_grid(argv: Sequence[str] | None = None, prog: str | None = None) -> argparse.Namespace:
    """Define and parse the command line of :mod:`.run_grid`."""
    parser = ArgumentParser(prog=prog, description='Train several configs over seeds')
    parser.add_argument('configs', nargs='+', metavar='CONFIG', help="config files, or patterns ('configs/*/*_x.py')")
    parser.add_argument('--exclude', nargs='+', default=[], help="patterns of config names to leave out ('shake-*')")
    parser.add_argument('--work-dir', default=osp.join('work_dirs', 'grid'), help='folder of the runs (work_dirs/grid)')
    parser.add_argument('--seeds', type=int, nargs='+', default=[0, 1, 2], help='seeds of each config (0 1 2)')
    parser.add_argument('--jobs', type=int, default=2, help='trainings at a time (2)')
    parser.add_argument('--fresh', action='store_true', help='train again what is finished')
    parser.add_argument(
        '--share-teacher',
        action='store_true',
        help='let one pass of a teacher serve all runs of a seed that are trained at a time; see docs/speed.md',
    )
    parser.add_argument(
        '--data-seed', type=int, help='with --share-teacher: draw batches by this seed in all runs, whatever their own'
    )
    parser.add_argument(
        '--cfg-options',
        nargs='+',
        default=[],
        help="key=value pairs for all configs, those that start with 'model.' not for the teachers",
    )
    parser.add_argument('--debug', action='store_true', help='show the traceback of an error')
    return parser.parse_args(argv)


def parse_tune(argv: Sequence[str] | None = None, prog: str | None = None) -> argparse.Namespace:
    """Define and parse the command line of :mod:`.tune`."""
    parser = ArgumentParser(prog=prog, description='Find a method and its weights within a budget of time')
    parser.add_argument('config', help='a distillation config of KD or SHAKE, to start from')
    parser.add_argument('--budget', default='2h', help='time for trainings, such as 90s, 30m, 2h or 1d (2h)')
    parser.add_argument('--work-dir', help='folder of the search, which goes on there (work_dirs/tune_CONFIG)')
    parser.add_argument('--methods', nargs='+', choices=['KD', 'SHAKE'], default=['KD', 'SHAKE'], help='which (both)')
    parser.add_argument('--taus', type=float, nargs='+', default=[1, 2, 4, 8], help='temperatures (1 2 4 8)')
    parser.add_argument('--lams', type=float, nargs='+', default=[0.5, 1, 2, 4], help='weights (0.5 1 2 4)')
    parser.add_argument('--metric', help='what is to be large in the validation (accuracy/top1, coco/bbox_mAP or mIoU)')
    parser.add_argument('--seed', type=int, default=0, help='seed of all trainings, and of the settings drawn (0)')
    add_common_arguments(parser)
    return parser.parse_args(argv)


def parse_print_config(argv: Sequence[str] | None = None, prog: str | None = None) -> argparse.Namespace:
    """Define and parse the command line of :mod:`.print_config`."""
    parser = ArgumentParser(prog=prog, description='Print the whole config')
    parser.add_argument('config', help='config file path')
    parser.add_argument('--save-path', help="also write it to this file (.py, .yml, .json), for any package's train.py")
    parser.add_argument('--overwrite', action='store_true', help='let --save-path replace a file that no tool wrote')
    add_common_arguments(parser)
    return parser.parse_args(argv)


def parse_taps(argv: Sequence[str] | None = None, prog: str | None = None) -> argparse.Namespace:
    """Define and parse the command line of :mod:`.taps`."""
    parser = ArgumentParser(prog=prog, description='List the taps of student and teachers, and the pairs that fit')
    parser.add_argument('config', help='a config, of a distillation or of a student alone')
    parser.add_argument('--teacher', help="config of a teacher, in the place of the config's own")
    parser.add_argument('--depth', type=int, default=2, help='how deep layers may lie that are listed (2)')
    add_common_arguments(parser)
    return parser.parse_args(argv)


def parse_report(argv: Sequence[str] | None = None, prog: str | None = None) -> argparse.Namespace:
    """Define and parse the command line of :mod:`.report`."""
    parser = ArgumentParser(
        prog=prog, description='Write one page on a run: its curves, and what its members say of pictures'
    )
    parser.add_argument('work_dirs', nargs='+', metavar='WORK_DIR', help='the folder of a run; several are compared')
    parser.add_argument('--out', help='folder of the page and its pictures (report, in the first WORK_DIR)')
    parser.add_argument('--baseline', type=float, help='accuracy of the student without teachers, drawn as a line')
    parser.add_argument('--base', help='a config with whose settings those of the runs are compared')
    parser.add_argument(
        '--images',
        type=int,
        default=300,
        help='ask the members of at most so many pictures of the validation set (300); 0 loads no weights',
    )
    parser.add_argument(
        '--best', action='store_true', help='load the best checkpoint that a run kept, not the last one'
    )
    parser.add_argument('--device', default='cpu', help='where the networks run (cpu)')
    parser.add_argument(
        '--trust', action='store_true', help='run the modules and configs that the configs of the runs name'
    )
    parser.add_argument('--overwrite', action='store_true', help='replace a page and pictures that no tool wrote')
    parser.add_argument('--debug', action='store_true', help='show the traceback of an error')
    return parser.parse_args(argv)


def parse_dataset_prepare(argv: Sequence[str] | None = None, prog: str | None = None) -> argparse.Namespace:
    """Define and parse the command line of :mod:`.dataset_prepare`."""
    parser = ArgumentParser(prog=prog, description='Put a data set where the configs look for it')
    parser.add_argument('name', choices=DATA_SETS, help='the data set')
    parser.add_argument('--from', dest='source', type=Path, help='a folder or archive that was downloaded before')
    parser.add_argument('--to', dest='folder', type=Path, help='where to put it (the folder that the configs name)')
    add_common_arguments(parser)
    return parser.parse_args(argv)
