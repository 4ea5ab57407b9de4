"""What members say of pictures, in the report of real runs, against a computation without the report."""

import copy
import dataclasses

import pytest
import torch
from mmengine.registry import DefaultScope

from shake_mm.cli import report
from shake_mm.registry import MODELS
from shake_mm.run_report import Figure, Missing, members_of, read
from shake_mm.run_report.activation import MemberLogits
from shake_mm.run_report.answers import ask
from shake_mm.run_report.rebuilt import rebuild, voices

from ..conftest import classifier
from ..support.runs import train
from ..test_site import BROWSER, scroll_width
from .test_report import Reader

PICTURES = 20


@pytest.fixture(scope='module')
def folder(tmp_path_factory):
    """Finished runs of SHAKE, KD and the student alone, and the teacher's weights."""
    folder = tmp_path_factory.mktemp('runs')
    teacher = classifier(8, classes=100)
    torch.manual_seed(3)
    with DefaultScope.overwrite_default_scope('mmpretrain'):
        network = MODELS.build(copy.deepcopy(teacher))
        network.init_weights()
        torch.save({'state_dict': network.state_dict()}, folder / 'teacher.pth')
        teachers = [dict(config=teacher, checkpoint=str(folder / 'teacher.pth'))]
        for name in ('SHAKE', 'KD'):
            cut = dict(proxies=dict(type='ShadowHead', detach=True)) if name == 'SHAKE' else {}
            model = dict(type=f'shake_mm.{name}', student=classifier(6, classes=100), teachers=teachers, **cut)
            train(copy.deepcopy(model), folder / name.lower(), samples=32)
        train(classifier(6, classes=100), folder / 'alone', samples=32, custom_hooks=[])
    return folder


@pytest.fixture(scope='module')
def shake(folder):
    return rebuild(read(folder / 'shake'))


def test_members_are_asked_as_the_run_measures_them(folder, shake):
    """All pictures: accuracies and gaps are those that the run has logged of the same checkpoint."""
    asked = ask([shake], 1000)
    logged = read(folder / 'shake').scalars.last()
    assert [answer.title for answer in asked.answers] == ['student', 'proxy', 'teacher']
    for answer in asked.answers:
        right = 100 * float((answer.says == asked.labels).float().mean())
        assert right == pytest.approx(logged[f'{answer.title}/top1'], abs=1e-3)
    assert float(asked.of('student')[0].gap.mean()) == pytest.approx(logged['gap/teacher'], rel=1e-4)
    student, proxy, teacher = asked.answers
    assert torch.equal(student.features, proxy.features) and teacher.features.shape == (24, 8)
    network = shake.model.student
    torch.testing.assert_close(network.head.fc(student.features), student.logits)


@pytest.mark.parametrize('member', ['student', 'proxy0', 'teacher0'])
def test_gradients_pass_through_every_member(shake, member):
    """Also through a frozen teacher, and a shadow that is cut off from the trunk in training."""
    (batch,) = shake.batches(shake.positions(4))
    inputs = shake.model.data_preprocessor(batch, False)['inputs'].requires_grad_()
    logits = MemberLogits(shake.model, member)(inputs)
    (slope,) = torch.autograd.grad(logits.sum(), inputs)
    assert slope.abs().sum() > 0
    asked = ask([shake], 4)
    own = next(answer for answer in asked.answers if answer.member == member)
    torch.testing.assert_close(logits.detach(), own.logits)
    assert all(proxy.detach for proxy in shake.model.proxies.values())


def test_the_page_of_a_run(folder, capsys):
    before = {path: path.read_bytes() for path in (folder / 'shake').rglob('*') if path.is_file()}
    assert report.main([str(folder / 'shake'), '--images', str(PICTURES)]) == 0
    out = folder / 'shake' / 'report'
    page = Reader((out / 'report.html').read_text(encoding='utf-8'))
    wanted = {'agreement', 'worst', 'calibration', 'activation', 'features'}
    assert wanted <= {path.stem for path in out.glob('*.png')} and not page.links
    assert all(image['alt'] for image in page.images)
    text = ' '.join(page.cells)
    assert f'Asked of {PICTURES} pictures of the validation set, which has 24' in text and 'epoch_1.pth' in text
    assert 'Not drawn, as they read the same as another: proxy' in text
    assert all(path.read_bytes() == content for path, content in before.items())  # nothing of the run is touched
    left = {path.name for path in (folder / 'shake').iterdir()} - {path.name for path in before}
    assert {path.name for path in (folder / 'shake').iterdir() if path.is_dir()} - left == set() and 'report' in left


def test_several_runs_share_their_pictures(folder):
    """The teacher that two runs have is there once, and for the run that has none."""
    runs = [read(folder / name) for name in ('shake', 'kd', 'alone')]
    parts = {part.name: part for part in members_of(runs, PICTURES) if isinstance(part, Figure)}
    titles = [row[0] for row in parts['calibration'].rows]
    assert titles == ['shake: student', 'kd: student', 'alone: student', 'shake: proxy', 'teacher']
    assert [row[0] for row in parts['agreement'].rows] == titles[:-1]
    counts = [[int(cell) for cell in row[1:-1]] for row in parts['agreement'].rows]
    assert all(sum(row) == PICTURES for row in counts)
    assert parts['activation'].heads[2:] == ('teacher', *titles[:-1])
    asked = voices([rebuild(run) for run in runs])
    assert [voice.title for voice in asked] == ['teacher', *titles[:-1]]
    assert [voice.title for voice in voices([asked[0].run])] == ['teacher', 'student', 'proxy']


def test_what_cannot_be_had_is_said_in_its_place(folder, tmp_path, capsys):
    """No weights, no config, other data, no teacher: a sentence each, and the curves are there."""
    gone = tmp_path / 'gone'
    kept = next((folder / 'kd').glob('*/vis_data'))
    data = gone / kept.parent.name / 'vis_data'
    data.mkdir(parents=True)
    (data / 'scalars.json').write_text((kept / 'scalars.json').read_text())
    told = [part.reason for part in members_of([read(gone)], 5) if isinstance(part, Missing)]
    assert told == ['gone kept no config with a model and a val_dataloader.']
    (data / 'config.py').write_text((kept / 'config.py').read_text())
    told = [part.reason for part in members_of([read(gone)], 5) if isinstance(part, Missing)]
    assert told == ['gone holds no checkpoint.']

    (gone / 'epoch_1.pth').write_bytes((folder / 'kd' / 'epoch_1.pth').read_bytes())
    text = (kept / 'config.py').read_text()
    (data / 'config.py').write_text(text.replace('teacher.pth', 'absent.pth'))
    (sentence,) = [part.reason for part in members_of([read(gone)], 5) if isinstance(part, Missing)]
    assert 'absent.pth' in sentence and sentence.endswith('.')
    (data / 'config.py').write_text(text.replace('num_samples=24', 'num_samples=23'))
    told = [part.reason for part in members_of([read(folder / 'kd'), read(gone)], 5) if isinstance(part, Missing)]
    assert told[0] == 'gone was validated on other pictures, or classes, than kd.'

    # a listed picture that is gone, a class that is another, and what is no model at all
    text = (next((folder / 'alone').glob('*/vis_data')) / 'config.py').read_text()
    (gone / 'epoch_1.pth').write_bytes((folder / 'alone' / 'epoch_1.pth').read_bytes())
    (tmp_path / 'list.txt').write_text('gone.png 0\n')
    listed = f"dict(type='CustomDataset', data_root={str(tmp_path)!r}, ann_file='list.txt', pipeline=[dict(type="
    listed += "'LoadImageFromFile'), dict(type='PackInputs')])"
    for change, words in {
        f'val_dataloader = dict(dataset={listed})': 'gone.png',
        "model = dict(type='ImageClassifier', backbone=3)": 'ImageClassifier',
        'model = 3': 'cannot be built anew from the config that it kept',
    }.items():
        (data / 'config.py').write_text(f'{text}\n{change}\n')
        told = [part.reason for part in members_of([read(gone)], 5) if isinstance(part, Missing)]
        assert len(told) == 1 and words in told[0] and told[0].endswith('.')

    alone = [part for part in members_of([read(folder / 'alone')], 5)]
    assert [part.reason for part in alone if isinstance(part, Missing)] == [
        'There is no teacher: nobody to compare the student with.'
    ]
    assert report.main([str(gone), '--images', '-1']) == 1
    assert '--images -1' in capsys.readouterr().err
    assert report.main([str(gone), '--images', '0']) == 0
    assert 'What the members say' not in (gone / 'report' / 'report.html').read_text()


@pytest.mark.slow
@pytest.mark.skipif(BROWSER is None, reason='there is no Chromium')
def test_a_browser_shows_it_on_a_desk_and_on_a_phone(folder, tmp_path):
    """The page is no wider than its window, of one run and of several."""
    runs = [str(folder / name) for name in ('shake', 'kd', 'alone')]
    for number in (1, 3):
        assert report.main([*runs[:number], '--images', str(PICTURES), '--out', str(tmp_path / str(number))]) == 0
        for width in (1280, 412):
            assert scroll_width(tmp_path / str(number) / 'report.html', width) <= width, (number, width)


def test_every_member_stands_beside_its_own_teacher(folder):
    """Runs of two teachers: each its own; a run without one is compared with the first."""
    runs = {name: rebuild(read(folder / name)) for name in ('alone', 'kd', 'shake')}
    spec = runs['kd'].model.members.specs['teacher0']
    runs['kd'].model.members.specs['teacher0'] = dataclasses.replace(spec, checkpoint='other.pth')
    beside = {voice.title: voice.teacher for voice in voices(list(runs.values()))}
    assert beside == {
        **{'kd: teacher': None, 'shake: teacher': None},
        **{'alone: student': 'kd: teacher', 'kd: student': 'kd: teacher', 'shake: student': 'shake: teacher'},
        'shake: proxy': 'shake: teacher',
    }
