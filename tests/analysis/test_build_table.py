import json

import pytest

from analysis import build_table


def test_to_the_console(root, capsys):
    assert build_table.main([str(root), '--title', 'Mine']) == 0
    out = capsys.readouterr().out
    assert out.startswith('# Mine\n') and 'paper' not in out
    assert '| shake    |   92.00 | +2.00 |     1 |\n' in out


def test_to_files(root, tmp_path, capsys):
    page, image = tmp_path / 'docs' / 'a.md', tmp_path / 'docs' / 'img' / 'a.png'
    notes = tmp_path / 'notes.md'
    notes.write_text('What it means.\n')
    args = ['--beside', 'resnet14_resnet8=resnet110_resnet20', '--out', str(page), '--plot', str(image)]
    args += ['--notes', str(notes)]
    assert build_table.main([str(root), *args]) == 0
    text = page.read_text()
    assert capsys.readouterr().out == ''
    assert text.index('# Comparison') < text.index('\n\nWhat it means.\n\n') < text.index('| method')
    assert '![Comparison of distillers](img/a.png)' in text and image.read_bytes().startswith(b'\x89PNG')
    assert '| method   | top-1 % | paper (resnet110 → resnet20) % |  gain | seeds |' in text
    assert '| shake    |   92.00 |                          72.02 | +2.00 |     1 |' in text


@pytest.mark.parametrize('value', ['NaN', 'Infinity', '1e308', '-1e308', '1e-320', 'true', '1' + '0' * 400])
@pytest.mark.parametrize('key', ['accuracy/top1', 'teacher/top1', 'proxy/top1', 'gap/teacher', 'time', 'step'])
def test_figures_that_no_run_measures_cost_no_other_run(root, tmp_path, key, value):
    log = next((root / 'kd').rglob('scalars.json'))
    log.write_text(
        f'{{"accuracy/top1": 91.0, "step": 1, "{key}": {value}}}\n{{"epoch": 1, "step": 1, "{key}": {value}}}\n'
    )
    args = ['--beside', 'resnet14_resnet8=resnet110_resnet20', '--plot', str(tmp_path / 'a.png')]
    assert build_table.main([str(root), '--out', str(tmp_path / 'a.md'), *args]) == 0
    page = (tmp_path / 'a.md').read_text()
    assert '| baseline |   90.00 |' in page and '| shake    |   92.00 |' in page


@pytest.mark.parametrize(
    ('args', 'message'),
    [
        (['--data', 'cifar100'], 'no finished run on cifar100 below'),
        (['--beside', 'resnet14_resnet8'], 'write OURS=PAPER'),
        (['--beside', 'resnet14_resnet8=a_b'], "the paper has no pair 'a_b'"),
    ],
)
def test_errors_are_one_sentence(root, capsys, args, message):
    assert build_table.main([str(root), *args]) == 1
    error = capsys.readouterr().err
    assert message in error and error.count('\n') == 1


def test_reasons_are_told_where_nothing_is_left(root, capsys):
    for log in root.rglob('scalars.json'):
        log.write_text('')
    assert build_table.main([str(root)]) == 1
    assert 'kd: the last logged validation is of epoch None' in capsys.readouterr().err


def test_detectors(tmp_path):
    for name in ('retinanet_r18-w8', 'kd_retinanet-r18-w32_retinanet-r18-w8'):
        log = tmp_path / 'grid' / name / '20260101_000000' / 'vis_data' / 'scalars.json'
        log.parent.mkdir(parents=True)
        log.write_text(json.dumps({'coco/bbox_mAP': 0.4, 'coco/bbox_mAP_50': 0.6, 'step': 1}) + '\n')
        model = 'dict(student=dict())' if name.startswith('kd') else 'dict()'
        (tmp_path / 'grid' / name / f'{name}_digit-scenes.py').write_text(
            f'model = {model}\ntrain_cfg = dict(max_epochs=1)\nrandomness = dict(seed=0)\n'
        )
    page, image = tmp_path / 'a.md', tmp_path / 'a.png'
    args = [str(tmp_path / 'grid'), '--detectors', '--out', str(page), '--plot', str(image)]
    assert build_table.main(args) == 0
    text = page.read_text()
    assert '| kd       | 40.0 | 60.0 |       +0.0 |     36.76 |       +0.61 |     1 |' in text
    assert 'AP: kd − baseline = +0.00 points, measured with a single seed' in text
    assert '![Comparison of distillers](a.png)' in text and image.read_bytes().startswith(b'\x89PNG')
