"""Files that claim to be weights: with code in them, or such that a careless reader crashes or fills the memory.

Run as a module, ``python -m tests.support.forged FOLDER`` reads each file in a folder and prints a line of JSON for it.
"""

import io
import json
import os
import pickle
import random
import struct
import sys
import tarfile
import zipfile
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import torch
from mmengine.logging import HistoryBuffer

from tests.support.mutation import in_bytes
from tests.support.pickles import (
    LEGACY,
    Call,
    archive,
    array,
    called,
    colliding,
    dtype,
    legacy,
    name,
    number,
    number_of,
    numbers,
    pickled,
    raw,
    storage,
    tables,
    tensor,
    text,
    weights,
)

MARKER = 'touched'
"""Every piece of code here would touch the file of this name in the current folder."""
COMMAND = f'touch {MARKER}'
SHELL = called('os', 'system', text(COMMAND))


def payloads() -> Iterator[tuple[str, bytes]]:
    """Files that hold code: name and content."""
    shell = Call(os.system, COMMAND)
    yield 'code.pth', archive(pickle.dumps(dict(state_dict=shell), 2))
    yield 'code_legacy.pth', legacy(pickle.dumps(dict(state_dict=shell), 2), [])
    for protocol in range(6):
        yield f'code_pickle{protocol}.pth', pickle.dumps(dict(state_dict=shell), protocol)
    yield 'code_tar.pth', _tar(pickle.dumps(dict(state_dict=shell), 2))
    yield 'code_script.pth', _script(pickled(SHELL))
    yield 'code_inst.pth', archive(pickled(b'(' + text(COMMAND) + b'ios\nsystem\n'))
    yield 'code_obj.pth', archive(pickled(b'(' + name('os', 'system') + text(COMMAND) + b'o'))
    yield 'code_newobj.pth', archive(pickled(name('subprocess', 'Popen') + b'(' + text(COMMAND) + b't\x81'))
    yield 'code_newobj_ex.pth', archive(pickled(name('subprocess', 'Popen') + b'(' + text(COMMAND) + b't}\x92'))
    yield 'code_extension.pth', archive(pickled(b'\x82\x01'))
    yield 'code_buffer.pth', archive(pickled(b'\x97'))
    yield 'code_stack.pth', archive(pickled(text('os') + text('system') + b'\x93(' + text(COMMAND) + b'tR'))
    yield 'code_state.pth', weights(tensor(0, (2,), (1,)), SHELL, b'b')
    yield 'code_factory.pth', archive(pickled(called('collections', 'defaultdict', name('os', 'system'))))
    inner = numbers(0) + b'}'
    yield (
        'code_type.pth',
        archive(pickled(called('torch._tensor', '_rebuild_from_type_v2', name('os', 'system'), inner))),
    )
    yield 'code_module.pth', archive(pickled(b'(' + text('module') + name('os', 'system') + text('a') * 3 + b'tQ'))
    history = name('mmengine.logging.history_buffer', 'HistoryBuffer')
    yield 'code_getattr.pth', archive(pickled(called('builtins', 'getattr', history, text('__init__'))))
    yield 'code_lines.pth', archive(pickled(text('os\n\x1b[2J') + text('system' * 10**5) + b'\x93'))
    doors = (
        'builtins.eval builtins.exec builtins.__import__ builtins.open pickle.loads numpy.load runpy.run_path '
        'torch.load torch.hub.load torch.jit.load torch.storage._load_from_bytes mmengine.fileio.load '
        'operator.methodcaller functools.partial importlib.import_module shake_mm.safe_io.read '
        'numpy.testing._private.utils.runstring torch._inductor.codecache.compile_file'
    )
    for door in doors.split():
        module, _, attribute = door.rpartition('.')
        yield f'code_{door}.pth', archive(pickled(called(module, attribute, text(COMMAND))))


def forgeries() -> Iterator[tuple[str, bytes]]:
    """Files without code that contradict themselves, or unfold to more than memory holds: name and content."""
    yield from _values()
    yield from _tensors()
    yield from _pickles()
    yield from _legacy_files()
    yield from _tables()


def _values() -> Iterator[tuple[str, bytes]]:
    """Arrays and scalars of NumPy."""
    yield 'objects.pth', archive(pickled(array((1,), dtype('O8'), raw(bytes(8)))))
    yield 'objects_short.pth', archive(pickled(array((1,), dtype('O'), raw(bytes(8)))))
    yield 'objects_list.pth', archive(pickled(array((1,), dtype('f8'), b']')))
    yield 'objects_scalar.pth', archive(pickled(called('numpy._core.multiarray', 'scalar', dtype('O8'), raw(bytes(8)))))
    lie = b'(' + number(3) + text('<') + b'NN}' + number(2**40) + number(1) + number(255) + b't'
    yield 'dtype_state.pth', archive(pickled(array((1,), dtype('f8', lie), raw(bytes(8)))))
    yield 'dtype_void.pth', archive(pickled(array((1,), dtype('V8'), raw(bytes(8)))))
    yield 'dtype_alone.pth', archive(pickled(dtype('f8')))
    yield 'array_large.pth', archive(pickled(array((2**40,), dtype('f8'), raw(bytes(8)))))
    yield 'array_wraps.pth', archive(pickled(array((2**61, 8), dtype('f8'), raw(b''))))
    yield 'array_negative.pth', archive(pickled(array((-1,), dtype('f8'), raw(bytes(8)))))
    yield (
        'array_twice.pth',
        archive(
            pickled(
                array((1,), dtype('f8'), raw(bytes(8))), b'(' + number(1) + numbers(0) + dtype('f4') + b'\x89' + b'Ntb'
            )
        ),
    )
    yield (
        'array_matrix.pth',
        archive(pickled(called('numpy._core.multiarray', '_reconstruct', name('os', 'system'), numbers(0), text('b')))),
    )


def _tensors() -> Iterator[tuple[str, bytes]]:
    """Storages, and tensors in them."""
    yield 'storage_short.pth', weights(tensor(0, (1000,), (1,), storage(1000)))
    yield 'storage_huge.pth', weights(tensor(0, (1,), (1,), storage(2**60)))
    yield 'storage_negative.pth', weights(tensor(0, (1,), (1,), storage(-4)))
    yield 'storage_missing.pth', weights(tensor(0, (1,), (1,), storage(4, '../byteorder')))
    yield 'storage_quantized.pth', weights(tensor(0, (1,), (1,), storage(4, kind='QInt8Storage')))
    yield 'storage_alone.pth', weights(storage())
    yield 'storages_overlap.pth', _overlapping()
    yield 'tensor_beyond.pth', weights(tensor(0, (5,), (1,)))
    yield 'tensor_offset.pth', weights(tensor(4, (1,), (1,)))
    yield 'tensor_negative_offset.pth', weights(tensor(-8, (1,), (1,)))
    yield 'tensor_negative_stride.pth', weights(tensor(3, (4,), (-1,)))
    yield 'tensor_repeats.pth', weights(tensor(0, (2**36,), (0,)))
    yield 'tensor_wraps.pth', weights(tensor(0, (2**32, 2**32), (2**32, 1)))
    yield 'tensor_wraps_empty.pth', weights(tensor(0, (0, 2**61, 8), (1, 1, 1)))
    yield 'tensor_dimensions.pth', weights(tensor(0, (1,) * 100, (1,) * 100))
    yield 'tensor_sparse.pth', weights(called('torch._utils', '_rebuild_sparse_tensor', numbers(0)))
    yield 'tensor_quantized.pth', weights(called('torch._utils', '_rebuild_qtensor', numbers(0)))
    yield 'tensor_meta.pth', weights(called('torch._utils', '_rebuild_meta_tensor_no_storage', numbers(0)))


def _pickles() -> Iterator[tuple[str, bytes]]:
    """Containers, texts and steps of pickles."""
    yield 'compressed.pth', archive(pickled(text('a' * 10**7)), packed=zipfile.ZIP_DEFLATED)
    yield 'memo_missing.pth', archive(pickled(b'j\xff\xff\xff\x7f'))
    yield 'memo_far.pth', archive(pickled(b']r\xff\xff\xff\xff'))  # which makes the C unpickler take 64 GB
    yield 'laughs.pth', archive(pickled(b']q\x00', *(b'0](' + b'h%c' % i * 10 + b'eq%c' % (i + 1) for i in range(12))))
    yield 'recursive.pth', archive(pickled(b']q\x00h\x00a'))
    yield 'recursive_state.pth', archive(pickled(called('argparse', 'Namespace'), b'q\x00}', text('a'), b'h\x00sb'))
    yield 'collisions.pth', archive(pickled(b'}(' + b''.join(numbers(*key) + b'N' for key in colliding(2_000)) + b'u'))
    yield 'digits.pth', archive(pickled(number_of(10**6000)))
    yield 'deep.pth', archive(pickled(b']' * 100_000 + b'a' * 99_999))
    yield 'deep_key.pth', archive(pickled(b'})' + b'\x85' * 300_000 + b'Ns'))
    yield (
        'copies.pth',
        _copies('collections', 'OrderedDict', b'](' + b''.join(number(i) + b'N\x86' for i in range(20_000)) + b'e'),
    )
    yield 'copies_set.pth', _copies('builtins', 'set', b'](' + b''.join(map(number, range(20_000))) + b'e')
    yield 'copies_bytes.pth', _copies('_codecs', 'encode', text('a' * 200_000))
    yield 'text_long.pth', archive(pickled(b'X\xff\xff\xff\xff'))
    yield 'text_longer.pth', archive(pickled(b'\x8d' + struct.pack('<Q', 2**62)))
    yield 'bytes_long.pth', archive(pickled(b'\x96' + struct.pack('<Q', 2**40)))
    yield 'frame_long.pth', archive(pickled(b'\x95' + struct.pack('<Q', 2**62)))
    yield 'number_long.pth', archive(pickled(b'I' + b'9' * 10_000 + b'\n'))
    yield 'stack_empty.pth', archive(b'\x80\x020.')
    yield 'mark_missing.pth', archive(pickled(b't'))
    yield 'end_missing.pth', archive(b'\x80\x02}')
    yield 'key_list.pth', archive(pickled(b'}]Ns'))
    yield 'byteorder.pth', archive(pickled(b'}')).replace(b'little', b'biglyy')


def _legacy_files() -> Iterator[tuple[str, bytes]]:
    """Files of torch before 1.6."""
    yield 'legacy_short.pth', legacy(pickled(tensor(0, (4,), (1,))), ['0'], struct.pack('<q', 4), bytes(8))
    yield 'legacy_other.pth', legacy(pickled(tensor(0, (4,), (1,))), ['0'], struct.pack('<q', 400), bytes(16))
    yield 'legacy_huge.pth', legacy(pickled(tensor(0, (1,), (1,), storage(2**61))), ['0'])
    yield 'legacy_keys.pth', legacy(pickled(tensor(0, (4,), (1,))), ['1'], struct.pack('<q', 4), bytes(16))
    yield 'legacy_text.pth', b''.join(LEGACY) + b'\x80\x02\x8d' + struct.pack('<Q', 2**40)


def _tables() -> Iterator[tuple[str, bytes]]:
    """Tables of safetensors."""
    about = dict(dtype='F32', shape=[4], data_offsets=[0, 16])
    yield 'long.safetensors', tables(dict(a=about), length=2**40)
    yield 'outside.safetensors', tables(dict(a=dict(about, data_offsets=[16, 32])))
    yield 'before.safetensors', tables(dict(a=dict(about, data_offsets=[-16, 0])))
    yield 'shape.safetensors', tables(dict(a=dict(about, shape=[2**62, 4])))
    yield 'minus.safetensors', tables(dict(a=dict(about, shape=[-2, -2])))
    yield 'words.safetensors', tables(dict(a=dict(about, shape=['4'])))
    yield 'overlap.safetensors', tables({str(i): about for i in range(100)})
    yield 'dtype.safetensors', tables(dict(a=dict(about, dtype='O8')))
    yield 'list.safetensors', tables([about]).replace(b'[', b'{', 1)
    yield 'dimensions.safetensors', tables(dict(a=dict(about, shape=[1] * 300_000, data_offsets=[0, 4])))
    yield (
        'digits.safetensors',
        tables(b'{"a": {"dtype": "F32", "shape": [%s], "data_offsets": [0, 16]}}' % (b'9' * 4000)),
    )
    yield 'deep.safetensors', tables(b'{"a":' + b'[' * 100_000)


def mutations(number: int) -> Iterator[tuple[str, bytes]]:
    """Checkpoints that were changed in places, of each format: name and content."""
    generator = random.Random(0)
    state = torch.nn.Sequential(torch.nn.Linear(2, 3), torch.nn.BatchNorm1d(3)).state_dict()
    content = dict(state_dict=state, meta=dict(epoch=1, seed=np.int64(3)), history=HistoryBuffer([1.0], [1]))
    for i in range(number):
        buffer = io.BytesIO()
        torch.save(content, buffer, _use_new_zipfile_serialization=i % 3 > 0, pickle_protocol=2 + 2 * (i % 2))
        yield f'mutated{i}.pth', mutated_checkpoint(buffer.getvalue(), generator, i % 3 == 2)


def mutated_checkpoint(whole: bytes, draw: random.Random, behind: bool) -> bytes:
    """Change some bytes of a checkpoint; ``behind`` its checksums, which are then made anew, in its pickle."""
    if not behind:
        return in_bytes(whole, draw)
    with zipfile.ZipFile(io.BytesIO(whole)) as file:
        parts = {name.rpartition('/')[2]: file.read(name) for name in file.namelist()}
    return archive(in_bytes(parts.pop('data.pkl'), draw), parts)


def _copies(module: str, attribute: str, content: bytes) -> bytes:
    """One value, of which a small file asks for 5,000 copies."""
    again = name(module, attribute) + b'h\x00\x85R'
    return archive(pickled(b'(' + content + b'q\x00' + again * 5_000 + b'l'))


def _overlapping() -> bytes:
    """An archive whose central directory names the same bytes as a hundred storages."""
    parts = b''.join(text(str(i)) + tensor(0, (4,), (1,), storage(2500, str(i))) + b's' for i in range(100))
    content = archive(pickled(b'}', parts), {'0': bytes(10_000)})
    begin = content.rindex(b'PK\x01\x02archive/data/0'[:4], 0, content.index(b'archive/data/0', len(content) - 400))
    end = content.index(b'PK\x01\x02', begin + 4)
    entries = content[begin:end] + b''.join(
        content[begin : begin + 28] + struct.pack('<H', len(f'archive/data/{i}')) + content[begin + 30 : begin + 46]
        + f'archive/data/{i}'.encode()
        for i in range(1, 100)
    )  # fmt: skip
    tail = content.rindex(b'PK\x05\x06')
    directory = content.index(b'PK\x01\x02')
    middle = content[directory:begin] + entries + content[end:tail]
    count = middle.count(b'PK\x01\x02')
    close = content[tail : tail + 8] + struct.pack('<HHII', count, count, len(middle), directory) + b'\x00\x00'
    return content[:directory] + middle + close


def _tar(content: bytes) -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode='w') as file:
        for part in ('sys_info', 'pickle', 'storages', 'tensors'):
            entry = tarfile.TarInfo(part)
            entry.size = len(content)
            file.addfile(entry, io.BytesIO(content))
    return buffer.getvalue()


def _script(content: bytes) -> bytes:
    buffer = io.BytesIO(archive(content))
    with zipfile.ZipFile(buffer, 'a') as file:
        file.writestr('archive/constants.pkl', content)
        file.writestr('archive/code/__torch__.py', 'import os')
    return buffer.getvalue()


def read_all(folder: Path) -> None:
    """Read each file of a folder and print what came of it, a line for each, before the next is begun."""
    import resource

    from shake_mm.errors import UsageError
    from shake_mm.safe_io import read

    held = int(Path('/proc/self/statm').read_text().split()[0]) * resource.getpagesize()
    resource.setrlimit(resource.RLIMIT_AS, (held + 3 * 2**30, resource.RLIM_INFINITY))
    for path in sorted(folder.iterdir()):
        print(json.dumps([path.name, 'begun']), flush=True)
        try:
            read(str(path), 'teacher0')
            outcome = 'read'
        except UsageError as error:
            outcome = str(error)
        except BaseException as error:
            outcome = f'raised {type(error).__name__}: {error}'
        print(json.dumps([path.name, outcome]), flush=True)


if __name__ == '__main__':
    read_all(Path(sys.argv[1]))
