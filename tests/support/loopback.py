"""Where weights come from, on this machine alone: a server, and stand-ins for model zoos and object stores."""

import http.server
import sys
import threading
import types
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import mmengine.hub.hub
import mmengine.runner.checkpoint as zoo
import pytest

CONFIG = 'mmpretrain::resnet/resnet18_8xb16_cifar10.py'
DETECTOR = 'mmdet::retinanet/retinanet_r50_fpn_1x_coco.py'
NAMES = (
    'torchvision://net modelzoo://net open-mmlab://net openmmlab://net mmcls://net s3://bucket/net.pth '
    f'cluster:s3://bucket/net.pth petrel://bucket/net.pth pavi://net {CONFIG} {DETECTOR}'
).split()
"""Every prefix that mmengine has a loader for, and the names of configs of two packages."""


@contextmanager
def serving(files: dict[str, bytes]) -> Iterator[str]:
    """Serve files on the loopback address; yields the address of their folder."""

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            content = files.get(self.path.lstrip('/'))
            self.send_response(404 if content is None else 200)
            # A server may promise more than it sends.
            self.send_header('Content-Length', str(len(content or b'') + 100 * self.path.endswith('cut.pth')))
            self.end_headers()
            self.wfile.write(content or b'')

        def log_message(self, *args: object) -> None:
            pass

    server = http.server.ThreadingHTTPServer(('127.0.0.1', 0), Handler)
    thread = threading.Thread(target=server.serve_forever, kwargs=dict(poll_interval=0.01), daemon=True)
    thread.start()
    try:
        yield f'http://127.0.0.1:{server.server_port}'
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def stand_in(patch: pytest.MonkeyPatch, address: str, content: bytes) -> None:
    """Let every zoo list an address as its model ``net``, and every store hold this content."""
    for function in ('get_torchvision_models', 'get_external_models', 'get_mmcls_models'):
        patch.setattr(zoo, function, lambda: {'net': address})
    listed = mmengine.hub.hub._get_cfg_metainfo
    patch.setattr(mmengine.hub.hub, '_get_cfg_metainfo', lambda *args: {**listed(*args), 'Weights': address})

    petrel, client, pavi = (types.ModuleType(name) for name in ('petrel_client', 'petrel_client.client', 'pavi'))
    client.Client = lambda **kwargs: types.SimpleNamespace(Get=lambda path: content)
    petrel.client = client
    model = types.SimpleNamespace(name='net.pth', download=lambda path: Path(path).write_bytes(content))
    pavi.modelcloud = types.SimpleNamespace(get=lambda name: model)
    for module in (petrel, client, pavi):
        patch.setitem(sys.modules, module.__name__, module)
