"""The page of what :mod:`benchmarks.gpu` measured."""

from collections.abc import Iterator, Mapping
from typing import Any

from benchmarks.steps import ROWS


def page(record: Mapping[str, Any]) -> str:
    """Write the figures as Markdown.

    Args:
        record (dict): ``setting``, and ``units`` by name, as ``gpu.json`` holds them.
    """
    setting = ', '.join(f'{key} {value}' for key, value in record['setting'].items())
    lines = ['# On a device', '', setting, '']
    for part, write in SECTIONS.items():
        own = {name.partition('/')[2]: unit for name, unit in record['units'].items() if name.startswith(f'{part}/')}
        if own:
            failed = [f'- {name}: {unit["error"]}' for name, unit in own.items() if 'error' in unit and 'took' in unit]
            good = {name: unit for name, unit in own.items() if f'- {name}: {unit.get("error")}' not in failed}
            lines += [f'## {part.capitalize()}', '', *(write(good) if good else ()), *failed, '']
    return '\n'.join(lines)


def _correctness(units: Mapping[str, Any]) -> Iterator[str]:
    yield from ('| check | verdict | largest relative difference | bound | compared |', '|---|---|---|---|---|')
    for name, unit in units.items():
        verdict = 'passed' if unit['passed'] else '**failed**'
        yield f'| {name} | {verdict} | {unit["difference"]:.2g} | {unit["bound"]:g} | {unit["note"]} |'


def _profile(units: Mapping[str, Any]) -> Iterator[str]:
    yield '| step | ms | kernels | kernels, ms | gaps, ms | busy | waits of the host |'
    yield '|---|---|---|---|---|---|---|'
    for name, unit in units.items():
        busy = 'no kernels' if unit['busy'] is None else f'{100 * unit["busy"]:.0f} %'
        waits = ', '.join(f'{key} {number:g}' for key, number in unit['syncs'].items()) or 'none'
        numbers = ' | '.join(f'{unit[key]:.2f}' for key in ('ms', 'kernels', 'kernel_ms', 'gap_ms'))
        yield f'| {name} | {numbers} | {busy} | {waits} |'
    for name, unit in units.items():
        longest = ', '.join(f'{key} {value:.2f} ms' for key, value in list(unit['longest'].items())[:4])
        yield f'\nLongest of {name}: {longest}.'


def _table(units: Mapping[str, Any]) -> Iterator[str]:
    for name, unit in units.items():
        yield from (f'### {name.capitalize()}', '') if len(units) > 1 else ()
        yield from ('| step | ms (least to most) | MiB |', '|---|---|---|')
        for key, spread in unit['seconds'].items():
            median, low, high = (1000 * spread[name] for name in ('median', 'low', 'high'))
            yield f'| {ROWS.get(key, key)} | {median:.2f} ({low:.2f}–{high:.2f}) | {unit["bytes"][key] / 2**20:.1f} |'
        yield from ('', '| within a round | ratio (least to most) |', '|---|---|')
        for key, spread in unit['ratios'].items():
            yield f'| {key} | {spread["median"]:.3f} ({spread["low"]:.3f}–{spread["high"]:.3f}) |'
        yield ''


def _training(units: Mapping[str, Any]) -> Iterator[str]:
    yield '| run | epochs | images a second | 240 epochs of 50,000 images, minutes | top-1 | run, s |'
    yield '|---|---|---|---|---|---|'
    for name, unit in units.items():
        speed, whole = unit['images_a_second'], unit['minutes_for_240_epochs_of_50000']
        top = unit.get('accuracy/top1')
        accuracy = '' if top is None else f'{top:.2f}'
        yield f'| {name} | {unit["epochs"]} | {speed:,.0f} | {whole:.1f} | {accuracy} | {unit["seconds"]:.0f} |'


def _methods(units: Mapping[str, Any]) -> Iterator[str]:
    yield from ('| method | ms | / KD | plain loop, ms | / the plain loop |', '|---|---|---|---|---|')
    for name, unit in sorted(units.items(), key=lambda item: -item[1]['/plain'][0]):
        ratios = ['{:.2f} ({:.2f}–{:.2f})'.format(*unit[key]) for key in ('/kd', '/plain')]
        yield f'| {name} | {1e3 * unit["ours"][0]:.1f} | {ratios[0]} | {1e3 * unit["plain"][0]:.1f} | {ratios[1]} |'


SECTIONS = {
    'correctness': _correctness,
    'profile': _profile,
    'table': _table,
    'detectors': _table,
    'training': _training,
    'methods': _methods,
}
"""What writes each part, in their order."""
