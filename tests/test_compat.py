"""Every mend of ``shake_mm.compat``: what fails without it, what works with it, and that it leaves alone what is right.

Upstream's failures are shown in fresh processes, because this one is mended already.
"""

import os
import subprocess
import sys
import textwrap
from pathlib import Path

import mmengine.config.config
import numpy as np
import pytest
import torch
from mmengine.config import Config, ConfigDict
from mmengine.logging import HistoryBuffer, MessageHub
from mmengine.model import MMDistributedDataParallel
from torch.ao.quantization import fuser_method_mappings

from shake_mm import compat
from shake_mm.safe_io import read

ROOT = Path(__file__).resolve().parents[1]
# Loads the module of the mends alone: importing the package would apply them.
COMPAT = f"""
import importlib.util
import sys
spec = importlib.util.spec_from_file_location('shake_mm.compat', {str(Path(compat.__file__))!r})
compat = importlib.util.module_from_spec(spec)
spec.loader.exec_module(compat)
"""
# mmengine's runner imports torchvision.
TRAIN = (
    f"""{COMPAT}
compat.mend_torchvision()
"""
    + """
import torch
from mmengine.model import BaseModel
from mmengine.runner import Runner
from torch.utils.data import DataLoader

class Model(BaseModel):
    def __init__(self):
        super().__init__()
        self.weight = torch.nn.Parameter(torch.ones(1))
    def forward(self, inputs, mode):
        return dict(loss=(self.weight * torch.stack(inputs)).sum())

def train(work_dir, epochs, resume=False, **kwargs):
    runner = Runner(
        Model(), work_dir, DataLoader([torch.ones(1)] * 4, batch_size=2, collate_fn=lambda data: dict(inputs=data)),
        train_cfg=dict(by_epoch=True, max_epochs=epochs), resume=resume, experiment_name=f'{work_dir}_{epochs}',
        param_scheduler=dict(type='MultiStepLR', milestones=[1]),
        optim_wrapper=dict(optimizer=dict(type='SGD', lr=0.1, momentum=0.9)), log_level='ERROR', **kwargs)
    runner.train()
    return runner
"""
)


def python(code: str, *args: str, path: Path | str = '') -> subprocess.CompletedProcess:
    """Run code in a process of its own."""
    env = {**os.environ, 'PYTHONPATH': os.pathsep.join(filter(None, [str(path), str(ROOT)]))}
    return subprocess.run([sys.executable, '-c', code, *args], capture_output=True, text=True, env=env, timeout=300)


@pytest.fixture(scope='module')
def upstream_checkpoint(tmp_path_factory) -> Path:
    """A checkpoint of the plain mmengine."""
    folder = tmp_path_factory.mktemp('upstream')
    result = python(f'{TRAIN}\ntrain(sys.argv[1], 1)', str(folder))
    assert result.returncode == 0, result.stderr
    return folder / 'epoch_1.pth'


def test_all_mends_act_once():
    assert not any(compat.mend_all().values())


# ---------------------------------------------------------------- torchvision
@pytest.mark.parametrize('declared', [False, True])
def test_torchvision_without_operators(tmp_path, declared):
    """A torchvision that describes an operator nobody declared, and one that is right."""
    package = tmp_path / 'torchvision'
    package.mkdir()
    declare = "library.define('nms(Tensor dets, Tensor scores, float iou_threshold) -> Tensor')" if declared else ''
    (package / '__init__.py').write_text(
        textwrap.dedent(f"""
        import torch
        library = torch.library.Library('torchvision', 'FRAGMENT')
        {declare}
        torch.library.register_fake('torchvision::nms')(lambda dets, scores, iou_threshold: dets)
        """)
    )
    plain = python('import torchvision', path=tmp_path)
    assert (plain.returncode == 0) == declared, plain.stderr
    mended = python(f'{COMPAT}\nprint(compat.mend_torchvision())\nimport torchvision', path=tmp_path)
    assert mended.returncode == 0, mended.stderr
    assert mended.stdout.split()[-1] == str(not declared)


# ---------------------------------------------------------------- mmrazor
def test_mmrazor_imports_beside_torch_2():
    plain = python('import mmrazor.structures')
    assert '`torch>=1.13` is not installed properly' in plain.stderr
    mended = python(f"""{COMPAT}
assert compat.mend_torchvision() in (True, False) and compat.mend_mmrazor()
assert 'mmrazor' not in sys.modules
from mmrazor.utils import register_all_modules
register_all_modules(False)
from mmrazor.structures.quantization import QConfigHandler
try:
    QConfigHandler()
except ImportError as error:
    print(error)
""")
    assert mended.returncode == 0, mended.stderr
    assert 'needs torch 1.13' in mended.stdout


def test_mmrazor_is_left_alone_beside_old_torch(monkeypatch):
    monkeypatch.setattr(fuser_method_mappings, 'reverse2', None, raising=False)
    monkeypatch.delitem(sys.modules, 'mmrazor.structures.quantization')
    assert not compat.mend_mmrazor()
    assert 'mmrazor.structures.quantization' not in sys.modules


# ---------------------------------------------------------------- checkpoints: writing
def message_hub(name: str = 'test') -> MessageHub:
    hub = MessageHub(name)
    hub.update_scalar('loss', 2.0, 3)
    hub.update_scalar('loss', 4.0, 5)
    hub.update_info_dict(
        dict(
            best=np.float64(0.5),
            palette=np.arange(6).reshape(2, 3),
            names=np.array(['a', 'b']),
            cfg=ConfigDict(scales=[(1, 2)], deep=dict(ids={1, 2})),
            weight=torch.ones(2),
            nothing=None,
        )
    )
    return hub


def test_written_message_hub_loads_anywhere(tmp_path):
    torch.save(message_hub().state_dict(), tmp_path / 'mended.pth')
    torch.save(MessageHub.state_dict.__wrapped__(message_hub()), tmp_path / 'upstream.pth')
    code = 'import sys, torch; torch.load(sys.argv[1])'
    assert python(code, str(tmp_path / 'mended.pth')).returncode == 0
    assert 'Unsupported global' in python(code, str(tmp_path / 'upstream.pth')).stderr


def test_message_hub_round_trip():
    target = MessageHub('target')
    target.load_state_dict(message_hub().state_dict())
    log, count = target.get_scalar('loss').data
    assert log.tolist() == [2.0, 4.0] and count.tolist() == [3, 5]
    assert target.get_scalar('loss').mean() == 0.75
    target.update_scalar('loss', 6.0)
    assert target.get_scalar('loss').current() == 6.0
    assert target.get_info('best') == 0.5
    assert target.get_info('names') == ['a', 'b']
    assert target.get_info('cfg') == dict(scales=[(1, 2)], deep=dict(ids={1, 2}))
    assert target.get_info('palette').tolist() == [[0, 1, 2], [3, 4, 5]]
    assert target.get_info('nothing') is None


def test_message_hub_reads_upstream_form():
    target = MessageHub('target')
    target.load_state_dict(MessageHub.state_dict.__wrapped__(message_hub()))
    assert target.get_scalar('loss').data[0].tolist() == [2.0, 4.0]


def test_message_hub_leaves_out_what_is_not_plain():
    hub = message_hub()
    hub.update_info('runner', object())
    state = hub.state_dict()
    assert 'runner' not in state['runtime_info'] and state['runtime_info']['best'] == 0.5


# ---------------------------------------------------------------- checkpoints: reading
def test_upstream_checkpoint_loads_safely(upstream_checkpoint):
    plain = python('import sys, torch, mmengine.runner; torch.load(sys.argv[1])', str(upstream_checkpoint))
    assert 'Unsupported global' in plain.stderr
    checkpoint = read(upstream_checkpoint)
    assert checkpoint['meta']['epoch'] == 1
    assert isinstance(checkpoint['message_hub']['log_scalars']['train/loss'], HistoryBuffer)


def test_resume_from_upstream_and_own_checkpoints(upstream_checkpoint):
    resume = (
        "runner = train(sys.argv[1], 3, resume=True)\nprint(len(runner.message_hub.get_scalar('train/loss').data[0]))"
    )
    plain = python(f'{TRAIN}\n{resume}', str(upstream_checkpoint.parent))
    assert 'Unsupported global' in plain.stderr
    guard = 'from shake_mm.safe_io import guard_loaders\nguard = guard_loaders()\nguard.__enter__()'
    mended = python(f'{TRAIN}\n{guard}\n{resume}', str(upstream_checkpoint.parent))
    assert mended.returncode == 0, mended.stderr
    assert mended.stdout.split()[-1] == '6'
    written = python('import sys, torch; torch.load(sys.argv[1])', str(upstream_checkpoint.with_name('epoch_3.pth')))
    assert written.returncode == 0, written.stderr


# ---------------------------------------------------------------- several processes on the CPU
DDP = """
import os
import torch
from mmengine.dist import all_reduce, get_backend, init_dist
from mmengine.model import MMDistributedDataParallel
init_dist('pytorch')
model = MMDistributedDataParallel(torch.nn.Linear(1, 1), device_ids=[int(os.environ['LOCAL_RANK'])])
model(torch.full((1, 1), 1.0 + int(os.environ['RANK']))).sum().backward()
assert model.module.weight.grad.item() == 1.5
assert get_backend() == 'gloo'
"""


@pytest.mark.skipif(torch.cuda.is_available(), reason='the mend is for machines without a device')
@pytest.mark.parametrize(
    ('mends', 'problem'),
    [
        ('', 'torch.cuda.set_device(local_rank)'),
        ('compat.mend_cpu_launch()', 'device_ids'),
        ('compat.mend_cpu_launch(), compat.mend_cpu_wrapper()', None),
    ],
)
def test_two_processes_on_cpu(tmp_path, mends, problem):
    script = tmp_path / 'script.py'
    script.write_text(f'{COMPAT}\n{mends}\n{DDP}')
    launch = [sys.executable, '-m', 'torch.distributed.run', '--standalone', '--nproc_per_node', '2', str(script)]
    env = {**os.environ, 'OMP_NUM_THREADS': '1'}
    result = subprocess.run(launch, capture_output=True, text=True, timeout=300, env=env)
    output = result.stdout + result.stderr
    if problem:
        assert result.returncode != 0 and problem in output
    else:
        assert result.returncode == 0, output
        assert output.count('gloo instead of nccl') == 1


def test_launch_is_left_alone_with_a_device(monkeypatch):
    import mmengine.dist.utils as utils

    for where, name in ((utils, '_init_dist_pytorch'), (MMDistributedDataParallel, '__init__')):
        function = getattr(where, name)
        monkeypatch.setattr(where, name, getattr(function, '__wrapped__', function))
    monkeypatch.setattr(compat, 'get_device', lambda: 'cuda')
    assert not compat.mend_cpu_launch() and not compat.mend_cpu_wrapper()
    assert not hasattr(utils._init_dist_pytorch, '__wrapped__')
    assert not hasattr(MMDistributedDataParallel.__init__, '__wrapped__')


# ---------------------------------------------------------------- config paths
def test_own_configs_can_be_a_base(tmp_path):
    config = tmp_path / 'config.py'
    config.write_text("_base_ = 'shake_mm::_base_/default_runtime.py'\nextra = dict(type='ResNet')")
    plain = python('import sys; from mmengine.config import Config; Config.fromfile(sys.argv[1])', str(config))
    assert 'does not support to load shake_mm config' in plain.stderr
    cfg = Config.fromfile(config)
    own = Config.fromfile(ROOT / 'configs' / '_base_' / 'default_runtime.py')
    assert cfg.extra.type == 'ResNet'
    assert {key: cfg[key] for key in own} == own._cfg_dict.to_dict()
    assert '_scope_' not in cfg.pretty_text


def test_installed_configs_come_first(tmp_path, monkeypatch):
    monkeypatch.setattr(compat, 'PACKAGE_DIR', str(tmp_path / 'shake_mm'))
    assert compat.configs_dir() == str(tmp_path / 'configs')
    (tmp_path / 'shake_mm' / '.mim' / 'configs').mkdir(parents=True)
    assert compat.configs_dir() == str(tmp_path / 'shake_mm' / '.mim' / 'configs')


def test_bases_of_other_packages_keep_their_scope(tmp_path):
    config = tmp_path / 'config.py'
    config.write_text("_base_ = 'mmdet::_base_/schedules/schedule_1x.py'")
    assert Config.fromfile(config).optim_wrapper._scope_ == 'mmdet'


@pytest.mark.parametrize('editable', [True, False])
def test_installed_path(tmp_path, editable):
    """An editable installation leaves the metadata alone in site-packages."""
    if editable:
        metadata = tmp_path / 'shake_mm-0.1.0.dist-info'
        metadata.mkdir()
        (metadata / 'METADATA').write_text('Metadata-Version: 2.1\nName: shake_mm\nVersion: 0.1.0\n')
        (metadata / 'top_level.txt').write_text('shake_mm\n')
    where = "from mmengine.utils import get_installed_path; print(get_installed_path('shake_mm'))"
    package = str(ROOT / 'shake_mm')
    plain = python(where, path=tmp_path)
    assert (plain.stdout.strip() == package) == (not editable), plain.stdout + plain.stderr
    mended = python(f'{COMPAT}\nprint(compat.mend_installed_path())\n{where}', path=tmp_path)
    assert mended.stdout.split() == [str(editable), package], mended.stderr


def test_the_same_config_is_laid_out_once(monkeypatch):
    seen = []
    monkeypatch.setattr(mmengine.config.config, 'FormatCode', lambda text, **options: (seen.append(text) or text, True))
    assert compat.mend_config_layout() and not compat.mend_config_layout()
    cfg = Config(dict(model=dict(type='A', names=('a', 'b'))))
    texts = {cfg.pretty_text for _ in range(3)}
    assert len(texts) == len(seen) == 1
    cfg.model.type = 'B'
    assert "type='B'" in cfg.pretty_text and len(seen) == 2
