"""``key=value`` pairs, as mmengine reads them, and paths that it cannot read."""

import pytest
from mmengine.config import DictAction

from shake_mm.options import parse_option


@pytest.mark.parametrize(
    'text',
    ['1', '1e-3', '-2.5', 'true', 'None', 'word', '', 'a,b', '[a,b]', '(1,)', '[(1,2),(3,4)]', '[]', '[[1],(2.0,[x])]']
    + ['1,2,3', '[1,None,True]', "'quoted'", '"[a,b]"', '((1,2),3)', '/data/a(1)', 'a=b', 'nan', '[a]'],
)
def test_what_mmengine_reads_is_read_equally(text):
    (key, value), theirs = parse_option(f'a.b={text}'), DictAction._parse_iterable(text)
    assert key == 'a.b' and repr(value) == repr(theirs)


@pytest.mark.parametrize(
    ('text', 'value'),
    [
        ('/my data/set', '/my data/set'),
        ('/data/set(1,2)', '/data/set(1,2)'),
        ('/data/[x], y', ['/data/[x]', 'y']),
        ('/data/a (copy)/b', '/data/a (copy)/b'),
        ('[a(1,2), b c]', ['a(1,2)', 'b c']),
        ('/data/open(1', '/data/open(1'),
        ('(a)(b)', '(a)(b)'),
        ('(1,2),(3,4)', [(1, 2), (3, 4)]),
    ],
)
def test_paths_with_spaces_and_brackets(text, value):
    assert parse_option(f'key={text}') == ('key', value)


@pytest.mark.parametrize('pair', ['', 'a', '=1', 'a..b=1', '.a=1', 'a=[(1,2]', 'a=x(1,2', f'a={"[" * 999}{"]" * 999}'])
def test_what_is_no_pair(pair):
    with pytest.raises(ValueError, match='no key=value pair|not balanced|too deep'):
        parse_option(pair)


@pytest.mark.parametrize(
    ('pair', 'instead'),
    [
        ("custom_hooks=[dict(type='X')]", 'custom_hooks.0.type='),
        ("a={'type':'X','b':1}", 'a.type='),
        ('"a=[{type: X}]"', 'type='),
    ],
)
def test_a_dict_is_told_how_it_is_written(pair, instead):
    with pytest.raises(ValueError, match='holds a dict') as raised:
        parse_option(pair)
    assert instead in str(raised.value)


def test_braces_of_a_name_are_no_dict():
    assert parse_option('filename_tmpl=epoch_{}.pth') == ('filename_tmpl', 'epoch_{}.pth')
    assert parse_option('a={x}') == ('a', '{x}')
