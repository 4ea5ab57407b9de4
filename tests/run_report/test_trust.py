"""Nothing that lies among results is run: by a type, a teacher's config, an import, or a library's loader."""

import copy

import pytest
import torch

from shake_mm.errors import UsageError
from shake_mm.registry import MODELS
from shake_mm.run_report import Missing, members_of, read
from shake_mm.run_report.rebuilt import rebuild
from shake_mm.run_report.trust import PACKAGED, check_named

from ..conftest import classifier
from .test_report import run

DATA = "val_dataloader = dict(dataset=dict(type='shake_mm.Digits', pipeline=[dict(type='PackInputs')], split='val'))\n"
SCOPE = "default_scope = 'mmpretrain'\n"


def kept(folder, text):
    """A run that kept such a config, and a checkpoint."""
    run(folder)
    (folder / '20260101_000000/vis_data/config.py').write_text(SCOPE + text)
    torch.save({'state_dict': {'weight': torch.zeros(1)}}, folder / 'epoch_1.pth')
    return read(folder)


def evil(folder, name='evil.py'):
    """Python that leaves a trace."""
    (folder / name).write_text(f"open({str(folder / 'ran')!r}, 'w').close()\nmodel = dict(type='ResNet')\n")
    return str(folder / name)


@pytest.mark.parametrize(
    ('text', 'named'),
    [
        ("model = dict(type='os.mkdir', path={ran!r})\n" + DATA, 'os.mkdir'),
        ("model = dict(type='shake_mm.Baseline', student=dict(type='os.mkdir', path={ran!r}))\n" + DATA, 'os.mkdir'),
        ("model = dict(type='mmengine.load', file='x.pkl')\n" + DATA, 'mmengine.load'),
        ("model = dict(type='shake_mm.KD', student={evil!r})\n" + DATA, 'evil.py'),
        ("model = dict(type='shake_mm.KD', student=dict(), teachers=[dict(config={evil!r})])\n" + DATA, 'evil.py'),
        ("model = dict(type='shake_mm.KD', student='shake_mm::../../evil.py')\n" + DATA, '../../evil.py'),
        ("custom_imports = dict(imports=['evil'])\nmodel = dict(type='ResNet')\n" + DATA, 'evil'),
        ("model = dict(type='HuggingFaceClassifier', model_name='a', trust_remote_code=True)\n" + DATA, 'trust_remote'),
    ],
)
def test_nothing_is_run(tmp_path, monkeypatch, text, named):
    monkeypatch.syspath_prepend(str(tmp_path))
    own = kept(tmp_path / 'foreign', text.format(ran=str(tmp_path / 'ran'), evil=evil(tmp_path)))
    (missing,) = [part for part in members_of([own], 5) if isinstance(part, Missing)]
    assert named in missing.reason and missing.reason.endswith('add --trust.') and 'foreign' in missing.reason
    assert not (tmp_path / 'ran').exists()


def test_a_data_set_is_none_either(tmp_path):
    config = classifier(6, classes=10)
    text = f'model = {config}\n' + DATA.replace("'shake_mm.Digits'", "'os.mkdir', path='x'")
    own = kept(tmp_path / 'foreign', text)
    torch.save({'state_dict': MODELS.build(copy.deepcopy(config)).state_dict()}, tmp_path / 'foreign' / 'epoch_1.pth')
    with pytest.raises(UsageError, match='os.mkdir'):
        rebuild(own)


def test_what_is_mine_may_be_run(tmp_path, monkeypatch):
    """With ``--trust`` a module of one's own registers a network."""
    monkeypatch.syspath_prepend(str(tmp_path))
    (tmp_path / 'my_nets.py').write_text(
        'from mmpretrain.registry import MODELS\nfrom mmpretrain.models import ImageClassifier\n'
        '@MODELS.register_module()\nclass MyClassifier(ImageClassifier):\n    pass\n'
    )
    config = {**classifier(6, classes=10), 'type': 'MyClassifier'}
    own = kept(tmp_path / 'mine', f"custom_imports = dict(imports=['my_nets'])\nmodel = {config}\n" + DATA)
    with pytest.raises(UsageError, match='my_nets'):
        rebuild(own)
    with pytest.raises(UsageError, match='epoch_1.pth'):  # it was built, and the weights are of another
        rebuild(own, trust=True)
    network = MODELS.build(dict(config, type='mmpretrain.MyClassifier'))
    torch.save({'state_dict': network.state_dict()}, tmp_path / 'mine' / 'epoch_1.pth')
    assert type(rebuild(own, trust=True).model.student).__name__ == 'MyClassifier'


def test_configs_of_packages_may_be_named():
    assert all(map(PACKAGED.fullmatch, ('mmdet::retinanet/a_b-1x.py', 'shake_mm::kd/x.py')))
    assert not any(map(PACKAGED.fullmatch, ('a.py', '/x::y.py', 'mmdet::/etc/a.py', 'mmdet::a/../b.py', 'a::b c.py')))
    check_named(dict(custom_imports=dict(imports=['shake_mm', 'mmdet.models'])), 'a')
    check_named(dict(model=dict(teachers=[dict(config='mmdet::a/b.py', checkpoint='a.pth')])), 'a')
