"""Downloads: kept where torch keeps them, whole or not at all, and what their names say."""

import hashlib
import http.server
import itertools
import os
import shutil
import threading
import time
from contextlib import contextmanager
from types import SimpleNamespace
from urllib.request import Request

import pytest
import torch

from shake_mm.errors import UsageError
from shake_mm.safe_io import download, read
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


@contextmanager
def answering(answer):
    """A server that answers by a function, called with its handler; the address of a file there."""

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self):
            try:
                answer(self)
            except OSError:  # nobody listens any more
                self.close_connection = True

        def log_message(self, *args):
            pass

    server = http.server.ThreadingHTTPServer(('127.0.0.1', 0), Handler)
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever, kwargs=dict(poll_interval=0.01), daemon=True)
    thread.start()
    try:
        yield f'http://127.0.0.1:{server.server_port}/net.pth'
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


@pytest.mark.parametrize('target', ['file:///etc/passwd', 'ftp://127.0.0.1/x.pth', 'data:,x', 'gopher://x/'])
def test_an_address_that_leads_out_of_http(target, hub):
    def redirect(handler):
        handler.send_response(302)
        handler.send_header('Location', target)
        handler.end_headers()

    with answering(redirect) as address, pytest.raises(UsageError, match='net.pth. cannot be fetched'):
        read(address)
    assert kept(hub) == []


def test_an_encrypted_address_leads_to_no_other(hub):
    handler = download._Redirects()
    start = Request('https://a.b/x.pth')
    with pytest.raises(OSError, match='leads from https to http://a.b/y.pth'):
        handler.redirect_request(start, None, 302, '', {}, 'http://a.b/y.pth')
    assert handler.redirect_request(start, None, 302, '', {}, 'https://c.d/y.pth').full_url == 'https://c.d/y.pth'


def test_an_address_that_leads_in_circles(hub):
    def redirect(handler):
        handler.send_response(302)
        handler.send_header('Location', handler.path)
        handler.end_headers()

    with answering(redirect) as address, pytest.raises(UsageError, match='cannot be fetched'):
        read(address)


@pytest.mark.parametrize('chunked', [True, False])
def test_a_server_that_never_ends(chunked, hub, monkeypatch):
    """Half of the room that there is may be taken by one that does not say how much it sends."""
    monkeypatch.setattr(shutil, 'disk_usage', lambda path: SimpleNamespace(free=2**24))

    def pour(handler):
        handler.protocol_version = 'HTTP/1.1'
        handler.send_response(200)
        if chunked:
            handler.send_header('Transfer-Encoding', 'chunked')
        handler.end_headers()
        for _ in itertools.count():
            handler.wfile.write((b'10000\r\n' if chunked else b'') + bytes(2**16) + (b'\r\n' if chunked else b''))

    with answering(pour) as address, pytest.raises(UsageError, match='too many bytes come, more than there is room'):
        read(address)
    assert kept(hub) == []


@pytest.mark.parametrize('length', [str(2**50), '-5', 'many', '5, 5', '0'])
def test_lengths_that_are_not_true(length, hub, content):
    def lie(handler):
        handler.send_response(200)
        handler.send_header('Content-Length', length)
        handler.end_headers()
        handler.wfile.write(content)

    with answering(lie) as address, pytest.raises(UsageError):
        read(address)
    assert not [name for name in kept(hub) if 'part' in name]


def test_a_server_that_sends_a_byte_now_and_then(hub, monkeypatch):
    monkeypatch.setattr(download, '_PATIENCE', 0.2)

    def drip(handler):
        handler.send_response(200)
        handler.send_header('Content-Length', '1000000')
        handler.end_headers()
        for _ in range(200):
            handler.wfile.write(b'P')
            time.sleep(0.02)

    with answering(drip) as address, pytest.raises(UsageError, match=r'fetched \(\d+ bytes came in \d+ seconds\)'):
        read(address)
    assert kept(hub) == []
