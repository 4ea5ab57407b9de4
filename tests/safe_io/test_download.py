"""Downloads: kept where torch keeps them, whole or not at all, and what their names say."""

import hashlib
import os

import pytest
import torch

from shake_mm.errors import UsageError
from shake_mm.safe_io import read
from shake_mm.safe_io.download import fetch, hash_in
from tests.support.loopback import serving


@pytest.fixture
def content(tmp_path):
    torch.save({'weight': torch.ones(3)}, tmp_path / 'x.pth')
    return (tmp_path / 'x.pth').read_bytes()


@pytest.fixture
def hub(monkeypatch, tmp_path):
    """Torch's folder of checkpoints."""
    monkeypatch.setenv('TORCH_HOME', str(tmp_path / 'torch'))
    return tmp_path / 'torch' / 'hub' / 'checkpoints'


def named(content: bytes, digits: int = 8) -> str:
    return f'net-{hashlib.sha256(content).hexdigest()[:digits]}.pth'


def kept(folder) -> list[str]:
    return [name for name in os.listdir(folder) if not name.endswith('.lock')]


def test_a_file_is_fetched_once_to_where_torch_keeps_it(content, hub):
    name = named(content)
    files = {name: content}
    with serving(files) as folder:
        assert read(f'{folder}/{name}')['weight'].tolist() == [1, 1, 1]
        assert kept(hub) == [name] and (hub / name).read_bytes() == content
        files.clear()
        assert read(f'{folder}/{name}')['weight'].tolist() == [1, 1, 1]
    # torch itself finds it there.
    assert torch.hub.load_state_dict_from_url(f'{folder}/{name}', weights_only=True)['weight'].tolist() == [1, 1, 1]


def test_equal_names_of_other_addresses_are_other_files(content, hub, tmp_path):
    torch.save({'weight': torch.zeros(3)}, tmp_path / 'y.pth')
    with serving({'a/best.pth': content, 'b/best.pth': (tmp_path / 'y.pth').read_bytes()}) as folder:
        first, second = (read(f'{folder}/{part}/best.pth')['weight'].sum() for part in 'ab')
    assert (first, second) == (3, 0) and len(kept(hub)) == 2


def test_another_hash_than_the_name_says_is_refused(content, hub):
    name = 'net-0123abcd.pth'
    with (
        serving({name: content}) as folder,
        pytest.raises(UsageError, match='begins with .*, not with 0123abcd as'),
    ):
        read(f'{folder}/{name}', 'teacher0')
    assert kept(hub) == []


def test_a_damaged_file_that_was_kept_is_refused(content, hub):
    name = named(content, 16)
    hub.mkdir(parents=True)
    (hub / name).write_bytes(content[:-1])
    with pytest.raises(UsageError, match=f'the SHA-256 of .*{name} begins with'):
        read(f'http://127.0.0.1:9/{name}')


def test_what_was_cut_off_is_not_kept(content, hub):
    with (
        serving({'cut.pth': content}) as folder,
        pytest.raises(UsageError, match=r'fetched \(\d+ of \d+ bytes'),
    ):
        read(f'{folder}/cut.pth', 'teacher0')
    assert kept(hub) == []


@pytest.mark.parametrize('address', ['http://127.0.0.1:9/x.pth', 'http://no.such.host.invalid/x.pth'])
def test_no_network(address, hub):
    with pytest.raises(UsageError, match=r'^teacher0: checkpoint .* cannot be fetched \(.*TORCH_HOME'):
        read(address, 'teacher0')


def test_not_found(hub):
    with serving({}) as folder, pytest.raises(UsageError, match='404'):
        read(f'{folder}/x.pth')


@pytest.mark.parametrize('path', ['', '/', '/a/', '/..', '/%2e%2e', '/a%2f..%2f..%2f', ':x/y/'])
def test_an_address_without_a_file(path, hub):
    with pytest.raises(UsageError, match='names no file'):
        read(f'http://127.0.0.1:9{path}')


def test_a_link_is_replaced_and_not_written_through(content, hub, tmp_path):
    name = named(content)
    hub.mkdir(parents=True)
    (hub / name).symlink_to(tmp_path / 'elsewhere.pth')
    with serving({name: content}) as folder:
        fetch(f'{folder}/{name}')
    assert not (tmp_path / 'elsewhere.pth').exists() and not (hub / name).is_symlink()
    # A lock that is a link is not opened.
    (hub / '.other.pth.lock').symlink_to(tmp_path / 'lock')
    with serving({'other.pth': content}) as folder, pytest.raises(Exception, match='cannot be fetched'):
        fetch(f'{folder}/other.pth', name='other.pth')
    assert not (tmp_path / 'lock').exists()


@pytest.mark.parametrize(
    'name, digits',
    [
        ('resnet50-0676ba61.pth', '0676ba61'),
        ('retinanet_r101_20200131-5560aee8.pth', '5560aee8'),
        (f'x-{"a" * 64}.safetensors', 'a' * 64),
        ('student-20240131.pth', None),  # a date
        ('student-20241331.pth', '20241331'),  # none
        ('net-abc.pth', None),
        ('net.pth', None),
        ('best-accuracy.pth', None),
        ('0676ba61.pth', None),
    ],
)
def test_hashes_in_names(name, digits):
    assert hash_in(name) == digits
