"""What is changed upstream: only what looks as expected, and every change beside the real modules of this stack."""

import json
import logging

import pytest
import torch

from shake_mm import stack
from shake_mm.compat import workarounds
from shake_mm.compat.upstream import needs

from .processes import COMPAT, python

HERE = 'tests.compat.test_upstream'
DEVICE = torch.cuda.is_available()


def upstream(first, second=None):
    raise AssertionError('nobody calls it')


def fail() -> bool:
    raise KeyError('unknown')


@pytest.mark.parametrize(
    ('name', 'reason'),
    [
        (f'{HERE}:upstream', ''),
        (f'{HERE}:upstream(first)', ''),
        (f'{HERE}:upstream(first, second)', ''),
        (f'{HERE}:HERE', ''),
        (f'{HERE}:gone', f'{HERE}:gone does not exist'),
        ('tests.gone:upstream', 'tests.gone:upstream does not exist'),
        (f'{HERE}:upstream(second)', "upstream begins with the arguments ['first'] and not with ['second']"),
        (f'{HERE}:fail(first)', "fail begins with the arguments [] and not with ['first']"),
    ],
)
def test_a_change_acts_only_where_upstream_looks_as_expected(name, reason, caplog):
    caplog.set_level(logging.DEBUG, 'shake_mm.compat')

    @needs(f'{HERE}:upstream', name)
    def change() -> bool:
        return True

    assert change() is not bool(reason)
    assert ('change does nothing, since' in caplog.text) == bool(reason) and reason in caplog.text


def test_a_change_that_finds_something_else_breaks_nothing(caplog):
    caplog.set_level(logging.DEBUG, 'shake_mm.compat')
    assert needs()(fail)() is False
    assert "fail does nothing, since KeyError: 'unknown'" in caplog.text


REPLACED = {
    'workaround_message_hub': ['mmengine.logging:MessageHub.state_dict', 'mmengine.logging:MessageHub.load_state_dict'],
    'workaround_cpu_launch': [f'mmengine.dist.utils:_init_dist_{name}' for name in ('pytorch', 'mpi', 'slurm')],
    'workaround_cpu_wrapper': ['mmengine.model:MMDistributedDataParallel.__init__'],
    'workaround_config_paths': ['mmengine.config:Config._get_cfg_path'],
    'workaround_installed_path': ['mmengine.utils:get_installed_path', 'mmengine.hub.hub:get_installed_path'],
    'workaround_hub_scope': ['mmengine.hub.hub:get_config'],
    'workaround_optimizer_hooks': ['torch._dynamo.eval_frame:TorchPatcher.patch'],
    'workaround_test_split': ['mmengine.dataset:BaseDataset.full_init'],
    'patch_history_buffer': ['mmengine.logging:HistoryBuffer.update'],
    'patch_runtime_info': [],
    'patch_config_layout': [],
    'patch_checkpoint_writer': [
        'mmengine.hooks:CheckpointHook.before_train',
        'mmengine.hooks:CheckpointHook._save_checkpoint_with_step',
        'mmengine.hooks:CheckpointHook._save_best_checkpoint',
        'mmengine.fileio:LocalBackend.put',
    ],
}
"""What each change replaces where it acts; of two the place depends on the stack, and their own tests look there."""

IDLE = {
    'workaround_installed_path',
    *(('workaround_cpu_launch', 'workaround_cpu_wrapper') if DEVICE else ()),
    *(() if stack.name() == 'classic' else ('workaround_optimizer_hooks',)),
}
"""Those that have nothing to mend here: shake_mm is no editable installation in ``make venv``."""


def test_every_change_is_looked_at():
    """The others replace nothing that is named: they act at an import or on a table, and have tests of their own."""
    names = ('torchvision', 'mmrazor', 'transformers', 'wrapped_names', 'package_names')
    waits = {f'workaround_{name}' for name in names}
    assert set(workarounds.MENDED) - waits == {name for name in REPLACED if name.startswith('workaround')}
    assert waits <= set(workarounds.MENDED)


def test_every_change_beside_the_real_modules_of_this_stack():
    """Each acts once or not at all, replaces what it says and nothing else, and takes the arguments of upstream."""
    result = python(f"""{COMPAT}
import inspect, json
from pkgutil import resolve_name
import mmengine.hub.hub, mmengine.runner
sys.modules['shake_mm'] = package  # still without the workarounds
from shake_mm.compat import preferences
replaced = json.loads({json.dumps(json.dumps(REPLACED))})
watched = [name for names in replaced.values() for name in names]
def state():
    return {{name: resolve_name(name) for name in watched}}
found = {{}}
for name in replaced:
    change = getattr(preferences if name.startswith('patch') else workarounds, name)
    before = state()
    acted, again, after = change(), change(), state()
    changed = [key for key in watched if after[key] is not before[key]]
    renamed = [key for key in changed if len(inspect.signature(before[key]).parameters)
               > len(inspect.signature(after[key]).parameters)]
    found[name] = [acted, again, changed, renamed]
print(json.dumps(found))
""")
    assert result.returncode == 0, result.stderr
    for name, (acted, again, changed, fewer) in json.loads(result.stdout.splitlines()[-1]).items():
        assert acted == (name not in IDLE), f'{name} beside {stack.describe()}'
        assert not again and changed == (REPLACED[name] if acted else []) and not fewer, name
