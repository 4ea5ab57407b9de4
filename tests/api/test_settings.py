"""What ``distill`` makes of a method's name."""

import pytest

from shake_mm.api.settings import method_of
from shake_mm.errors import UsageError


@pytest.mark.parametrize(
    ('name', 'kind'), [('SHAKE', 'shake_mm.SHAKE'), ('kd', 'shake_mm.KD'), (None, 'shake_mm.SHAKE')]
)
def test_a_method_by_its_name_is_as_it_comes(name, kind):
    """Method files name the papers' setting; whoever only names a method gets what was measured to help."""
    assert method_of(name) == {'type': kind}


def test_a_method_with_options_keeps_its_own():
    assert method_of(dict(type='KD', tau=2)) == {'type': 'shake_mm.KD', 'tau': 2}
    assert method_of(dict(type='KD', setting='paper')) == {'type': 'shake_mm.KD', 'setting': 'paper'}
    assert method_of('dkd')['type'] == 'shake_mm.Distiller'


def test_an_unknown_method_is_told_with_the_nearest():
    with pytest.raises(UsageError, match="there is no 'SHACK': did you mean"):
        method_of('SHACK')
