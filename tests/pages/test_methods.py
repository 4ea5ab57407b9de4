"""The config on each method's page, for networks of one's own, is the method that this repository's configs have.

Those are built and take steps in tests/configs.
"""

import pytest
from mmengine.config import Config

from .pages import PAGES, ROOT, python_of

METHODS = [page for page in PAGES if page.startswith('configs/') and python_of(page)]


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
    (text,) = python_of(page)
    paths = sorted((ROOT / page).parent.glob('*.py'), key=lambda path: ('digit' not in path.stem, path.stem))
    assert any(is_that_of(text, path, tmp_path) for path in paths)


def test_most_methods_have_such_a_page():
    assert len(METHODS) > 35
