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
