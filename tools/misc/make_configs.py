"""Write the configs that only combine: networks alone, pairs, and every method on every pair.

``python tools/misc/make_configs.py`` rewrites them, with the metafiles and model-index.yml; ``--check`` only says
whether they are up to date. What a cell means stands in ``_base_`` (``methods``, ``schedules``, ``datasets``) and in
``config_tables.py``; nothing else writes it down twice.
"""

import argparse
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from itertools import product
from pathlib import Path

import yaml
from config_tables import (
    ALPHA,
    AUGMENTS,
    DATA,
    DETECTION,
    FORM_PAIRS,
    FORMS,
    METHODS,
    PAPERS,
    SEVERAL,
    SEVERAL_PAIRS,
    TABLE6_PAIRS,
    Data,
    Method,
    Network,
)

CONFIGS = Path(__file__).resolve().parents[2] / 'configs'


def folder_of(method: str) -> str:
    """The configs' folder: variants of a method stand beside it; CRD+KD and CRD's KD are of the first named."""
    return method.split('-')[0]


def network_config(name: str, network: Network, data: Data) -> str:
    """A network alone: ``baseline/NAME_DATA.py``."""
    bases = (f'models/{network.model}', f'datasets/{data.dataset}', f'schedules/{data.schedule}', 'default_runtime')
    lines = ['_base_ = [', *(f"    '../_base_/{base}.py'," for base in bases), ']']
    if network.light and data.schedule == 'cifar100_crd':
        lines.append('optim_wrapper = dict(optimizer=dict(lr=0.01))')
    return '\n'.join(lines)


def pair_config(teacher: str, student: str, key: str, data: Data) -> str:
    """A student's run and its teacher: ``_base_/pairs/TEACHER_STUDENT_DATA.py``."""
    says = (
        "# Student and its run: the baseline's. Teacher: the baseline of the larger net, trained with its own config."
    )
    number, _, network = teacher.rpartition('x') if teacher[:1].isdigit() else ('', '', teacher)
    places = [f'/seed{seed}' for seed in range(int(number))] if number else ['']
    if number:
        says += f"""
# They differ by their seed: tools/train.py configs/baseline/{network}_{key}.py \\
#     --work-dir work_dirs/{network}_{key}/seed1 --cfg-options randomness.seed=1"""
    entries = ''.join(
        f"""
    dict(
        config='shake_mm::baseline/{network}_{key}.py',
        checkpoint='work_dirs/{network}_{key}{place}/epoch_{data.epochs}.pth',
    ),"""
        for place in places
    )
    return f"""{says}
_base_ = ['../../baseline/{student}_{key}.py', '../distill.py']

teachers = [{entries}
]"""


def cell_path(name: str, pair: tuple[str, str], key: str) -> str:
    """Where a method's config on a pair stands: ``METHOD/METHOD_TEACHER_STUDENT_DATA.py``."""
    return f'{folder_of(name)}/{name}_{pair[0]}_{pair[1]}_{key}.py'


def cell_config(
    method: Method, pair: tuple[str, str], key: str, network: Network | None = None, epochs: int = 0
) -> str:
    """A method on a pair, whose student is ``network``, trained for ``epochs``."""
    bases = [f'../_base_/pairs/{pair[0]}_{pair[1]}_{key}.py']
    arguments = ['_delete_=True', f"type='shake_mm.{method.type}'", 'student=_base_.model']
    if method.taught:
        arguments.append(f'teachers={"peers" if method.scratch else "_base_.teachers"}')
    arguments += [argument.replace('{quarter}', str(epochs // 4)) for argument in method.extra]
    if method.base:
        bases.append(f'../_base_/methods/{method.variants.get(pair, method.base)}.py')
        arguments.append('terms=_base_.terms')
    if method.contrast:
        arguments.append('num_samples=_base_.contrast.num_samples')
    if method.init:
        arguments.append(f'stages=[{", ".join(_stages(method.init, network))}]')
    lines = [f'# {method.says}'] if method.says else []
    lines.append(f'_base_ = {bases if len(bases) > 1 else repr(bases[0])}')
    if method.scratch:
        lines.append("peers = [dict(config=teacher['config']) for teacher in _base_.teachers]")
    lines.append(f'model = dict({", ".join(arguments)})')
    if method.contrast:
        inner = 'dataset=_base_.train_dataloader.dataset, negatives=_base_.contrast.negatives'
        lines.append(f"train_dataloader = dict(dataset=dict(_delete_=True, type='shake_mm.ContrastDataset', {inner}))")
    if method.init:
        scheduler = 'slow_param_scheduler' if method.init == 'ft' and network.slow_paraphraser else 'param_scheduler'
        lines += ['train_cfg = _base_.with_init.train_cfg', f'param_scheduler = _base_.with_init.{scheduler}']
    return '\n'.join(lines)


def augmented_config(method: str, name: str, pair: tuple[str, str], key: str) -> str:
    """A method's config on a pair with an augmentation."""
    augment = AUGMENTS[name]
    file = f'{name}_digits' if augment.by_data and key != 'cifar100' else f'{name}{augment.cifar}'
    return f"""# {augment.says}
_base_ = ['./{method}_{pair[0]}_{pair[1]}_{key}.py', '../_base_/augments/{file}.py']
{augment.lines}"""


def _stages(init: str, network: Network) -> list[str]:
    """The two stages of AB and FT: an initialization, then the student's training with a new optimizer."""
    first, then = {
        'ab': ((['ab'], [*network.body, 'terms']), (['task'], ['student'])),
        'ft': ((['paraphrase'], ['connectors', 'terms.paraphrase']), (['task', 'ft'], ['student', 'terms.ft'])),
    }[init]
    return [
        f'dict(until=_base_.with_init.until, terms={first[0]}, train={first[1]})',
        f'dict(terms={then[0]}, train={then[1]}, reset_optimizer=True)',
    ]


def configs() -> Iterator[tuple[str, str]]:
    """All configs of this script: path below ``configs`` and text."""
    for key, data in DATA.items():
        for name, network in data.networks.items():
            yield f'baseline/{name}_{key}.py', network_config(name, network, data)
        for pair in data.pairs:
            yield f'_base_/pairs/{pair[0]}_{pair[1]}_{key}.py', pair_config(*pair, key, data)
            for name, method in METHODS.items() if data.cells else ():
                yield cell_path(name, pair, key), cell_config(method, pair, key, data.networks[pair[1]])
        for pair in SEVERAL_PAIRS.get(key, ()):
            yield f'_base_/pairs/{pair[0]}_{pair[1]}_{key}.py', pair_config(*pair, key, data)
        for pair, (name, method) in product(SEVERAL_PAIRS.get(key, ()), SEVERAL.items()):
            yield cell_path(name, pair, key), cell_config(method, pair, key)
        for pair, (name, method) in product(FORM_PAIRS.get(key, ()), FORMS.items()):
            yield cell_path(name, pair, key), cell_config(method, pair, key, data.networks[pair[1]], data.epochs)
        for pair in TABLE6_PAIRS.get(key, ()):
            yield cell_path('shake-alpha-div', pair, key), cell_config(ALPHA, pair, key)
        for name, augment in AUGMENTS.items():
            for pair, method in product(augment.pairs.get(key, ()), augment.methods):
                yield cell_path(f'{method}-{name}', pair, key), augmented_config(method, name, pair, key)
    for key, (pairs, methods) in DETECTION.items():
        for pair, (name, method) in product(pairs, methods.items()):
            yield cell_path(name, pair, key), cell_config(method, pair, key)


def formatted(files: dict[str, str], folder: Path) -> dict[str, str]:
    """The texts as the project's formatter writes them."""
    for name, text in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    settings = CONFIGS.parent / 'pyproject.toml'
    command = [sys.executable, '-m', 'ruff', 'format', '--quiet', '--config', str(settings), str(folder)]
    subprocess.run(command, check=True)
    return {name: (folder / name).read_text() for name in files}


def metafiles(files: dict[str, str]) -> Iterator[tuple[str, str]]:
    """Each method folder's metafile.yml, which lists all its configs, generated or not, and the index of them."""
    for folder, about in PAPERS.items():
        names = {Path(name).stem for name in files if name.startswith(f'{folder}/')}
        names |= {path.stem for path in (CONFIGS / folder).glob('*.py')}
        techniques = ['Knowledge Distillation'] if about.title else []
        collection = {
            'Name': about.name,
            'Metadata': {'Training Techniques': [*techniques, 'SGD with Momentum', 'Weight Decay']},
            **({'Paper': {'Title': about.title, 'URL': about.url}} if about.title else {}),
            'README': f'configs/{folder}/README.md',
            'Code': {'URL': about.code, 'Version': 'v0.1.0'},
        }
        models = [
            {'Name': name, 'Config': f'configs/{folder}/{name}.py', 'In Collection': about.name}
            for name in sorted(names)
        ]
        yield f'{folder}/metafile.yml', yaml.safe_dump({'Collections': [collection], 'Models': models}, sort_keys=False)
    index = {'Import': [f'configs/{folder}/metafile.yml' for folder in sorted(PAPERS)]}
    yield '../model-index.yml', yaml.safe_dump(index)


def main(argv: Sequence[str] | None = None) -> int:
    """Run the tool and return its exit status."""
    parser = argparse.ArgumentParser(description='Write the configs that only combine')
    parser.add_argument('--check', action='store_true', help='write nothing, and fail where a file is not up to date')
    args = parser.parse_args(argv)
    files = dict(configs())
    with tempfile.TemporaryDirectory() as folder:
        files = formatted(files, Path(folder))
    files.update(metafiles(files))
    stale = [name for name, text in files.items() if not _is(CONFIGS / name, text)]
    for name in () if args.check else stale:
        (CONFIGS / name).parent.mkdir(parents=True, exist_ok=True)
        (CONFIGS / name).write_text(files[name])
    print(f'{len(files)} files, {len(stale)} {"not up to date" if args.check else "written"}', *stale, sep='\n  ')
    return int(bool(args.check and stale))


def _is(path: Path, text: str) -> bool:
    return path.is_file() and path.read_text() == text


if __name__ == '__main__':
    sys.exit(main())
