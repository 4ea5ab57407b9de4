"""torchvision and mmrazor: what fails to import without the workarounds, and what works with them."""

import textwrap

import pytest

from ..support.stacks import needs_mmrazor, needs_torch
from .processes import COMPAT, python


@needs_torch('2.4', 'nothing describes operators that are not declared')
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
    worked_around = python(
        f"""{COMPAT}
assert workarounds.workaround_torchvision() and not workarounds.workaround_torchvision()
assert 'torchvision' not in sys.modules and 'torch' not in sys.modules
import torchvision
print(bool(imports._LIBRARIES))
assert not workarounds.workaround_torchvision()
assert type(torchvision.__spec__.loader).__module__.startswith('_frozen_importlib')
""",
        path=tmp_path,
    )
    assert worked_around.returncode == 0, worked_around.stderr
    assert worked_around.stdout.split()[-1] == str(not declared)


@needs_mmrazor
def test_mmrazor_imports_beside_torch_2():
    plain = python('import mmrazor.structures')
    assert '`torch>=1.13` is not installed properly' in plain.stderr
    worked_around = python(f"""{COMPAT}
assert workarounds.workaround_torchvision() and workarounds.workaround_mmrazor()
assert 'mmrazor' not in sys.modules
from mmrazor.utils import register_all_modules
register_all_modules(False)
import mmrazor.models.task_modules.tracer.fx_tracer, mmrazor.structures.graph.channel_flow
assert sys.getrecursionlimit() == 1000
from mmrazor.structures.quantization import QConfigHandler
try:
    QConfigHandler()
except ImportError as error:
    print(error)
""")
    assert worked_around.returncode == 0, worked_around.stderr
    assert 'needs torch 1.13' in worked_around.stdout


def test_mmrazor_is_left_alone_beside_old_torch(tmp_path):
    package = tmp_path / 'mmrazor'
    package.mkdir()
    (package / '__init__.py').touch()
    worked_around = python(
        f"""{COMPAT}
from torch.ao.quantization import fuser_method_mappings
fuser_method_mappings.reverse2 = None
workarounds.workaround_mmrazor()
import mmrazor
assert 'mmrazor.structures.quantization' not in sys.modules
""",
        path=tmp_path,
    )
    assert worked_around.returncode == 0, worked_around.stderr
