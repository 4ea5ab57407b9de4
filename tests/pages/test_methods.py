"""The config on each method's page, for networks of one's own, is the method that this repository's configs have.

Those are built and take steps in tests/configs.
"""

import pytest
from mmengine.config import Config
from mmengine.optim import build_optim_wrapper

from shake_mm.registry import MODELS
from shake_mm.utils import config_file

from .pages import PAGES, ROOT, python_of

METHODS = [page for page in PAGES if page.startswith('configs/') and python_of(page)]


def changes_of(page):
    """The blocks that change a config which has the method already."""
    return [block for block in python_of(page) if '_base_' not in block]


def cells_of(page):
    """The configs of a page's method, those for digits first."""
    return sorted((ROOT / page).parent.glob('*.py'), key=lambda path: ('digit' not in path.stem, path.stem))


CHANGES = [(page, change) for page in METHODS for change in changes_of(page)]


def method_of(model):
    """A model without what the networks bring along."""
    return {key: value for key, value in model.items() if key not in ('teachers', 'input_size')}


def part_of(mine, whole):
    """Whether every setting is one of the whole's."""
    if isinstance(mine, dict):
        return isinstance(whole, dict) and all(key in whole and part_of(mine[key], whole[key]) for key in mine)
    return mine == whole


def is_that_of(text, path, folder):
    """Whether a page's config makes of a config's student what that config does."""
    wanted = Config.fromfile(path)
    Config(dict(model=wanted.model.student)).dump(folder / 'my_student.py')
    (folder / 'my_config.py').write_text(text)
    mine = Config.fromfile(folder / 'my_config.py')
    others = {key: mine[key] for key in mine if key not in ('model', 'custom_hooks')}
    return method_of(mine.model) == method_of(wanted.model) and part_of(others, wanted._cfg_dict)


@pytest.mark.parametrize('page', METHODS)
def test_the_config_for_ones_own_networks(page, tmp_path):
    (text,) = (block for block in python_of(page) if block not in changes_of(page))
    assert any(is_that_of(text, path, tmp_path) for path in cells_of(page))


@pytest.mark.parametrize(('page', 'change'), CHANGES)
def test_what_a_page_changes_is_built(page, change, tmp_path, trained):
    (tmp_path / 'changed.py').write_text(f"_base_ = ['{cells_of(page)[0]}']\n{change}")
    config = Config.fromfile(tmp_path / 'changed.py')
    for teacher in (teacher for teacher in config.model.get('teachers', []) if 'checkpoint' in teacher):
        teacher.checkpoint = trained(Config.fromfile(config_file(teacher.config)).model)
    model = MODELS.build(config.model)
    assert (
        config.model != Config.fromfile(cells_of(page)[0]).model
        or len(build_optim_wrapper(model, config.optim_wrapper)) > 1
    )


def test_most_methods_have_such_a_page():
    assert len(METHODS) > 35
