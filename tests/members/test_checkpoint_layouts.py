"""Files laid out as others publish them give the weights of the network, value for value."""

from argparse import Namespace
from collections import OrderedDict

import pytest
import torch
import torchvision
from mmengine.config import Config
from torch import nn

from shake_mm.errors import UsageError
from shake_mm.members import MemberSpec, load_strictly, read_weights
from shake_mm.models import crd_config
from shake_mm.registry import MODELS
from tests.support.crd_networks import random_state
from tests.support.pickles import tables

OPTIMIZER = dict(state={0: dict(momentum_buffer=torch.ones(2))}, param_groups=[dict(lr=0.1, params=[0])])


def network(seed=0):
    """Names as in mmpretrain, and tensors that no other seed has."""
    torch.manual_seed(seed)
    backbone = nn.ModuleDict({'conv1': nn.Conv2d(3, 4, 3), 'bn1': nn.BatchNorm2d(4)})
    return nn.ModuleDict({'backbone': backbone, 'head': nn.ModuleDict({'fc': nn.Linear(4, 5)})})


STATE, OTHER = network(1).state_dict(), network(2).state_dict()


def prefixed(prefix, state=STATE):
    return OrderedDict((f'{prefix}{name}', value) for name, value in state.items())


def counted(state=STATE):
    """As thop leaves it."""
    extra = {f'{layer}total_ops': torch.zeros(1) for layer in ('', 'backbone.', 'backbone.conv1.')}
    return {**state, **extra, 'total_params': torch.zeros(1)}


LAYOUTS = {
    'bare': STATE,
    'mmengine': dict(meta=dict(epoch=3), state_dict=STATE, message_hub={}, optimizer=OPTIMIZER),
    'mmengine with EMA': dict(state_dict=STATE, ema_state_dict={**prefixed('module.', OTHER), 'steps': torch.ones(())}),
    'DeiT': dict(model=STATE, optimizer=OPTIMIZER, epoch=3, model_ema=OTHER),
    'timm': dict(epoch=3, arch='x', state_dict=STATE, optimizer=OPTIMIZER, state_dict_ema=OTHER, metric=80.0),
    'timm, averaged alone': dict(state_dict_ema=STATE),
    'mmengine, averaged alone': dict(ema_state_dict={**prefixed('module.'), 'steps': torch.ones(())}),
    'averaged': dict(ema=STATE, epoch=3),
    'averaged, in a dict': dict(ema=dict(state_dict=STATE, decay=0.99)),
    'BasicSR': dict(params=STATE, params_ema=OTHER),
    **{name: {name: STATE, 'epoch': 3} for name in ('net', 'network', 'weights', 'model_state_dict', 'model_state')},
    **{name: {name: STATE, 'optimizer': OPTIMIZER} for name in ('state', 'params', 'student', 'teacher')},
    'RepDistiller': dict(opt=Namespace(lr=0.1, steps=[1]), model=STATE, epoch=240, optimizer=OPTIMIZER),
    'nested': dict(state=dict(model=dict(state_dict=STATE))),
    'DataParallel': dict(net=prefixed('module.'), acc=90.0),
    'compiled': prefixed('_orig_mod.'),
    'compiled and parallel': dict(model=prefixed('module._orig_mod.')),
    'mmrazor 1.x': dict(meta={}, state_dict=prefixed('architecture.')),
    'mmrazor 0.x': dict(state_dict=prefixed('architecture.model.')),
    'Lightning': {'state_dict': prefixed('model.'), 'pytorch-lightning_version': '2.1.0', 'hyper_parameters': {}},
    'Lightning, compiled': dict(state_dict=prefixed('model._orig_mod.')),
    'Lightning, with its losses': dict(state_dict={**prefixed('model.'), 'loss.weight': torch.ones(5)}),
    'any prefix': dict(state_dict={**prefixed('detector.inner.'), 'queue': torch.ones(9)}),
    'a distiller of ours': dict(state_dict={**prefixed('student.'), **prefixed('peers.teacher0.', OTHER)}),
    'thop': dict(state_dict=counted()),
    'numbers for names': {**STATE, 0: torch.ones(2), 1: torch.ones(2)},
    'values beside the weights': {**STATE, 'epoch': 3, 'lr': 0.1, 'classes': ['a']},
}


def saved(content, path):
    torch.save(content, path)
    return str(path)


def assert_equal(found, state=STATE):
    assert list(found) == list(state)
    assert all(torch.equal(found[name], value) for name, value in state.items())


@pytest.mark.parametrize('layout', LAYOUTS)
def test_published_layouts(layout, tmp_path):
    source = saved(LAYOUTS[layout], tmp_path / 'x.pth')
    model = network()
    found = read_weights(source, 'teacher0', model)
    assert_equal(found)
    load_strictly(model, found, 'teacher0', source)
    assert_equal(model.state_dict())


def test_safetensors(tmp_path):
    """One table of names, and the bytes behind it."""
    state = {name: value for name, value in STATE.items() if value.is_floating_point()}
    about, content = {}, b''
    for name, value in state.items():
        raw = value.numpy().tobytes()
        about[f'model.{name}'] = dict(
            dtype='F32', shape=list(value.shape), data_offsets=[len(content), len(content) + len(raw)]
        )
        content += raw
    (tmp_path / 'x.safetensors').write_bytes(tables(about, content))
    assert_equal(read_weights(str(tmp_path / 'x.safetensors'), 'teacher0', network()), state)


@pytest.mark.parametrize(
    'kind, mend',
    [
        (lambda value: value.to_sparse(), 'holds a sparse tensor: save it again as `.to_dense'),
        (lambda value: torch.quantize_per_tensor(value, 0.1, 0, torch.qint8), 'quantized tensor: .*`.dequantize'),
    ],
)
def test_tensors_of_other_kinds_are_told(kind, mend, tmp_path):
    state = {**STATE, 'head.fc.weight': kind(STATE['head.fc.weight'])}
    with pytest.raises(UsageError, match=mend):
        read_weights(saved(dict(model=state), tmp_path / 'x.pth'), 'teacher0', network())


def test_what_was_done_is_told(tmp_path, monkeypatch):
    told = []
    monkeypatch.setattr('shake_mm.members.checkpoint.print_log', lambda text, *args: told.append(text))
    source = saved(dict(net=prefixed('module.'), acc=1.0), tmp_path / 'x.pth')
    read_weights(source, 'teacher0', network())
    thop = saved(dict(state_dict=counted()), tmp_path / 'y.pth')
    read_weights(thop, 'load_from', network())
    read_weights(saved(dict(state_dict=STATE), tmp_path / 'z.pth'), 'teacher0', network())
    timm = saved(LAYOUTS['timm'], tmp_path / 't.pth')
    read_weights(timm, 'test', network())
    lightning = saved(LAYOUTS['Lightning, with its losses'], tmp_path / 'l.pth')
    read_weights(lightning, 'test', network())
    assert told == [
        f"teacher0: checkpoint '{source}': taken from `net`; names without `module.`",
        f"load_from: checkpoint '{thop}': left out total_ops, backbone.total_ops, backbone.conv1.total_ops and 1 more",
        f"test: checkpoint '{timm}': taken from `state_dict`; not from state_dict_ema",
        f"test: checkpoint '{lightning}': names without `model.`; left out loss.weight",
    ]


SIDE_BY_SIDE = {
    'SoftTeacher': (dict(state_dict={**prefixed('teacher.'), **prefixed('student.', OTHER)}), 'student', 'teacher'),
    'mdistiller': (
        dict(epoch=3, model={**prefixed('module.student.', OTHER), **prefixed('module.teacher.')}),
        'student',
        'teacher',
    ),
    'mmrazor': (
        dict(state_dict={**prefixed('architecture.', OTHER), **prefixed('teacher.'), 'distiller.x': torch.ones(2)}),
        'architecture',
        'teacher',
    ),
    'mmrazor 0.x': (
        dict(state_dict={**prefixed('architecture.model.', OTHER), **prefixed('distiller.teacher.')}),
        'architecture.model',
        'distiller.teacher',
    ),
    'DINO': (dict(student=prefixed('module.', OTHER), teacher=prefixed('module.'), epoch=3), 'student', 'teacher'),
    'any two': ({**prefixed('first.', OTHER), **prefixed('second.')}, 'first', 'second'),
}


@pytest.mark.parametrize('layout', SIDE_BY_SIDE)
@pytest.mark.parametrize('where, option', [('teacher0', 'key'), ('load_from', 'load_from_key'), ('test', '--key')])
def test_side_by_side_a_key_is_asked_for(layout, where, option, tmp_path):
    content, first, second = SIDE_BY_SIDE[layout]
    source = saved(content, tmp_path / 'x.pth')
    with pytest.raises(UsageError, match=f'{where}: checkpoint .* side by side, .*: say which by `{option}`') as error:
        read_weights(source, where, network())
    for name in (first, second):
        assert f'`{name.partition(".")[0]}' in str(error.value)
    assert_equal(read_weights(source, where, network(), key=first), OTHER)
    assert_equal(read_weights(source, where, network(), key=second), STATE)


def test_a_key_names_what_is_not_taken_by_itself(tmp_path):
    source = saved(LAYOUTS['timm'] | dict(generator=OTHER), tmp_path / 'x.pth')
    assert_equal(read_weights(source, network=network(), key='state_dict_ema'), OTHER)
    assert_equal(read_weights(source, network=network(), key='generator'), OTHER)
    with pytest.raises(UsageError, match="no weights under 'ema', only under `state_dict`, `state_dict_ema`, `gener"):
        read_weights(source, network=network(), key='ema')
    source = saved(LAYOUTS['a distiller of ours'], tmp_path / 'y.pth')
    assert_equal(read_weights(source, network=network(), key='peers.teacher0'), OTHER)


def test_keys_that_are_not_known_are_listed(tmp_path):
    with pytest.raises(UsageError, match='no state dict, but weights under `generator`, `critic`: give `key`'):
        read_weights(saved(dict(generator=STATE, critic=OTHER, epoch=3), tmp_path / 'x.pth'), 'teacher0', network())
    with pytest.raises(UsageError, match='no state dict .it has the keys `epoch`, `optimizer`.: give a checkpoint'):
        read_weights(saved(dict(epoch=3, optimizer=OPTIMIZER), tmp_path / 'y.pth'), 'teacher0', network())


def test_names_that_fit_as_they_are_stay(tmp_path):
    """A network that is itself made of a student and a teacher, or called `model`."""
    for names in (('student', 'teacher'), ('model', 'module')):
        both = nn.ModuleDict({name: network(i) for i, name in enumerate(names)})
        source = saved(dict(state_dict=both.state_dict()), tmp_path / 'x.pth')
        assert_equal(read_weights(source, 'load_from', both), both.state_dict())


def test_a_new_classifier_is_seen_behind_a_prefix(tmp_path):
    """The sentence names shapes, not prefixes."""
    state = {**STATE, 'head.fc.weight': torch.ones(7, 4), 'head.fc.bias': torch.ones(7)}
    source = saved(dict(model=prefixed('module.', state)), tmp_path / 'x.pth')
    with pytest.raises(UsageError, match=r'shape differs head.fc.weight \(\(7, 4\) in the file, \(5, 4\) in the model'):
        load_strictly(network(), read_weights(source, 'teacher0', network()), 'teacher0', source)


def test_versions_of_layers_follow_their_names(tmp_path):
    source = saved(dict(model=nn.ModuleDict({'module': network(1)}).state_dict()), tmp_path / 'x.pth')
    found = read_weights(source, 'teacher0', network())
    assert found._metadata['backbone.bn1'] == {'version': 2} and '' in found._metadata


def test_a_key_is_text():
    with pytest.raises(UsageError, match='teacher0: key=3 is no text'):
        MemberSpec.parse('teacher0', dict(config=dict(type='Net'), checkpoint='a.pth', key=3))


# ------------------------------------------------------------------------------------------------ names of others
def resnet(depth=18, classes=7):
    torch.manual_seed(0)
    backbone = dict(type='ResNet', depth=depth)
    head = dict(type='LinearClsHead', num_classes=classes, in_channels=512 if depth < 50 else 2048)
    neck = dict(type='GlobalAveragePooling')
    config = dict(type='ImageClassifier', _scope_='mmpretrain', backbone=backbone, neck=neck, head=head)
    return MODELS.build(config).eval()


def published_resnet(library):
    torch.manual_seed(1)
    if library == 'torchvision':
        return torchvision.models.resnet18(num_classes=7).eval()
    return pytest.importorskip('timm').create_model('resnet18', num_classes=7).eval()


@pytest.mark.parametrize('library', ['torchvision', 'timm'])
@pytest.mark.parametrize(
    'wrap',
    [
        dict,
        lambda s: dict(state_dict=prefixed('model.', s)),
        lambda s: dict(model=s),
        lambda s: {name: value for name, value in s.items() if not name.endswith('num_batches_tracked')},
    ],
)
def test_resnets_of_other_libraries(library, wrap, tmp_path):
    """The network answers as theirs does."""
    theirs, ours = published_resnet(library), resnet()
    source = saved(wrap(theirs.state_dict()), tmp_path / 'x.pth')
    load_strictly(ours, read_weights(source, 'teacher0', ours), 'teacher0', source)
    inputs = torch.randn(2, 3, 64, 64)
    with torch.no_grad():
        assert torch.equal(ours(inputs), theirs(inputs))


def test_a_resnet_for_another_network_is_told_of_init_cfg(tmp_path):
    source = saved(published_resnet('torchvision').state_dict(), tmp_path / 'x.pth')
    with pytest.raises(UsageError, match=r"is of another network: .*init_cfg=dict\(type='Pretrained'"):
        load_strictly(network(), read_weights(source, 'teacher0', network()), 'teacher0', source)


@pytest.mark.parametrize('arch', ['resnet8', 'wrn_16_1', 'vgg8', 'MobileNetV2', 'ShuffleV1', 'ResNet50'])
def test_files_of_the_crd_benchmark_name_the_converter(arch, tmp_path):
    source = saved(dict(epoch=240, model=random_state(arch, torch.float32), best_acc=72.0), tmp_path / 'x.pth')
    model = MODELS.build(dict(Config.fromfile(crd_config(arch)).model, _scope_='mmpretrain'))
    with pytest.raises(UsageError, match='converted by tools/model_converters/crd_to_mmpretrain.py'):
        load_strictly(model, read_weights(source, 'teacher0', model), 'teacher0', source)
