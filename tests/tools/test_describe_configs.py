"""The page on what configs come to, written from a config that works."""

from pathlib import Path

CONFIG = 'configs/at/at_resnet110_resnet20_cifar100.py'
TABLE = Path(__file__).resolve().parents[2] / 'docs' / 'table4_cells.md'


def test_it_writes_what_the_committed_page_says(load_tool, tmp_path, capsys):
    out = tmp_path / 'page.md'
    tool = load_tool('misc/describe_configs')
    assert tool.main([CONFIG, '--title', 'A cell', '--out', str(out)]) == 0
    page, committed = out.read_text(encoding='utf-8').splitlines(), TABLE.read_text(encoding='utf-8').splitlines()
    assert page[0] == '# A cell'
    # the sentence below the title, the head of the table, and the rows of this config
    assert page[2:6] == committed[2:6]
    assert page[6:] == [line for line in committed if line.startswith(f'| {Path(CONFIG).stem} |')] and page[6:]
    assert tool.main([CONFIG, '--title', 'A cell']) == 0 and out.read_text(encoding='utf-8') in capsys.readouterr().out
