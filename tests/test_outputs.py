"""Nothing that exists is overwritten unless we wrote it, or ``--overwrite`` says so."""

import pytest
import torch
from mmengine.config import Config

from shake_mm.errors import UsageError
from shake_mm.outputs import HEADER, claim, claim_folder, is_ours, write_config, write_text

CONFIG = Config(dict(a=dict(b=(1, 2)), c='x'))


@pytest.mark.parametrize('suffix', ['.py', '.yml', '.yaml', '.json'])
def test_a_config_that_we_wrote_is_read_back_and_overwritten_again(tmp_path, suffix):
    path = tmp_path / f'c{suffix}'
    write_config(CONFIG, path)
    assert Config.fromfile(path).c == 'x' and list(Config.fromfile(path).a.b) == [1, 2]
    if suffix == '.json':  # which holds no comments, and so no mark
        with pytest.raises(UsageError, match='exists and was not written by shake_mm'):
            claim(path, '--out')
    else:
        assert is_ours(path)
        claim(path, '--out')
    assert [found.name for found in tmp_path.iterdir()] == [path.name]


@pytest.mark.parametrize('content', [b'', b'a = 1\n', b'\x80\x04K\x01.', b'a = 1\n' * 400 + HEADER.encode()])
@pytest.mark.parametrize('name', ['c.py', 'c.pth', 'c.pkl', 'c.md', 'c'])
def test_another_file_stays_until_overwrite(tmp_path, name, content):
    path = tmp_path / name
    path.write_bytes(content)
    with pytest.raises(UsageError, match=f'--out: .*{name} exists and was not written by shake_mm: name another place'):
        claim(path, '--out')
    with pytest.raises(UsageError, match='or allow it by --overwrite'):
        claim(path, '--out', overwrite=False)
    claim(path, '--out', overwrite=True)
    assert path.read_bytes() == content


def test_checkpoints_say_in_their_meta_who_wrote_them(tmp_path):
    path = tmp_path / 'a.pth'
    torch.save(dict(meta=dict(epoch=1), state_dict={}), path)
    assert not is_ours(path)
    torch.save(dict(meta=dict(shake_mm_version='1'), state_dict={}), path)
    assert is_ours(path)


def test_configs_of_earlier_versions_are_known_by_the_copy_beside_the_logs(tmp_path):
    path, copy = tmp_path / 'c.py', tmp_path / '20260101_000000' / 'vis_data' / 'config.py'
    copy.parent.mkdir(parents=True)
    for file in (path, copy):
        file.write_text('a = 1\n')
    assert is_ours(path)
    path.write_text('a = 2\n')
    assert not is_ours(path)


def test_inputs_links_and_folders_are_never_written_to(tmp_path):
    path, link = tmp_path / 'c.py', tmp_path / 'link.py'
    write_text(path, HEADER)
    link.symlink_to(path)
    for target, inputs, words in (
        (path, [path], 'is read by this very command'),
        (link, [], 'is a link'),
        (tmp_path, [], 'is a folder'),
    ):
        with pytest.raises(UsageError, match=words):
            claim(target, '--out', overwrite=True, inputs=inputs)
    claim(path, '--out', inputs=[None, tmp_path / 'missing.py', link.with_name('other.py')])
    (tmp_path / 'dangling').symlink_to(tmp_path / 'nowhere')
    with pytest.raises(UsageError, match='is a link'):
        claim(tmp_path / 'dangling', '--out')


def test_a_full_folder_stays(tmp_path):
    claim_folder(tmp_path, '--show-dir', False)
    claim_folder(tmp_path / 'new', '--show-dir', False)
    (tmp_path / 'a.png').touch()
    with pytest.raises(UsageError, match='--show-dir: .* is not empty'):
        claim_folder(tmp_path, '--show-dir', False)
    claim_folder(tmp_path, '--show-dir', True)
