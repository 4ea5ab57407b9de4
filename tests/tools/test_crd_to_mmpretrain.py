import pytest
import torch

from ..support.crd_forward import forward
from ..support.crd_networks import LAYOUTS, build, random_state


@pytest.fixture
def main(load_tool):
    return load_tool('model_converters/crd_to_mmpretrain').main


@pytest.fixture
def save(tmp_path):
    """Save a checkpoint, return its file."""

    def save(content):
        torch.save(content, tmp_path / 'benchmark.pth')
        return str(tmp_path / 'benchmark.pth')

    return save


def in_model(state):
    return {'epoch': 240, 'model': state, 'best_acc': torch.tensor(69.06)}


def beside_a_number(state):
    return {**state, 'epoch': 240}


def in_state_dict_of_a_wrapper(state):
    return {'state_dict': {f'module.{key}': value for key, value in state.items()}}


@pytest.mark.parametrize('wrap', [in_model, in_state_dict_of_a_wrapper, dict, beside_a_number])
def test_what_is_written_answers_as_the_benchmark(main, save, tmp_path, capsys, wrap):
    """All forms of checkpoints; another number of classes; the answer is that of the plain formulas."""
    state = random_state('wrn_16_1', torch.float32)
    state['fc.weight'], state['fc.bias'] = state['fc.weight'][:10], state['fc.bias'][:10]
    out = tmp_path / 'new' / 'folder' / 'wrn.pth'
    assert main(['--arch', 'wrn_16_1', save(wrap(state)), str(out)]) == 0
    assert '10 classes' in capsys.readouterr().out
    assert [path.name for path in out.parent.iterdir()] == ['wrn.pth']

    checkpoint = torch.load(out, weights_only=True)
    assert checkpoint['meta']['arch'] == 'wrn_16_1' and checkpoint['meta']['num_classes'] == 10
    model = build('wrn_16_1', classes=10)
    model.load_state_dict(checkpoint['state_dict'], strict=True)
    x = torch.randn(2, 3, 32, 32)
    logits = forward('wrn_16_1', state, x)[2]
    torch.testing.assert_close(model(x, mode='tensor'), logits, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize('arch', ['resnet8', 'vgg8', 'MobileNetV2', 'ShuffleV1', 'ShuffleV2'])
def test_families(main, save, tmp_path, arch):
    out = tmp_path / 'out.pth'
    assert main(['--arch', arch, save(in_model(random_state(arch, torch.float32))), str(out)]) == 0
    written = torch.load(out, weights_only=True)['state_dict']
    assert len(written) == len(LAYOUTS[arch]['keys'])


def test_old_checkpoints_lack_the_batch_counters(main, save, tmp_path):
    state = {k: v for k, v in random_state('resnet8', torch.float32).items() if not k.endswith('num_batches_tracked')}
    out = tmp_path / 'out.pth'
    assert main(['--arch', 'resnet8', save(in_model(state)), str(out)]) == 0
    model = build('resnet8')
    model.load_state_dict(torch.load(out, weights_only=True)['state_dict'], strict=True)
    x = torch.randn(2, 3, 32, 32)
    torch.testing.assert_close(model(x, mode='tensor'), forward('resnet8', state, x)[2], rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize(
    ('arch', 'change', 'words'),
    [
        ('resnet20', {}, 'is of another network: missing backbone.layer1.1.conv1.weight'),
        ('resnet8x4', {}, 'shape differs backbone.conv1.weight ((16, 3, 3, 3) in the file'),
        ('wrn_16_1', {}, 'is of another network'),
        ('vgg8', {}, 'vgg8 keeps its linear classifier in classifier.weight, which these weights lack'),
        ('MobileNetV2', {}, 'classifier.0.weight'),
        ('resnet8', {'extra.weight': torch.zeros(1)}, 'unexpected backbone.extra.weight'),
        ('resnet8', {'fc.weight': torch.zeros(100, 32)}, 'shape differs head.fc.weight ((100, 32) in the file'),
        ('resnet8', {'fc.bias': torch.zeros(7)}, 'shape differs head.fc.bias'),
    ],
)
def test_weights_of_another_network(main, save, tmp_path, capsys, arch, change, words):
    """One sentence, and nothing is written."""
    source = save({**random_state('resnet8', torch.float32), **change})
    assert main(['--arch', arch, source, str(tmp_path / 'out.pth')]) == 1
    # mmengine logs to the same stream.
    errors = [line for line in capsys.readouterr().err.splitlines() if line.startswith('error: ')]
    assert len(errors) == 1 and words in errors[0]
    assert [path.name for path in tmp_path.iterdir()] == ['benchmark.pth']


def test_files_that_cannot_be_read(main, tmp_path, capsys):
    out = str(tmp_path / 'out.pth')
    assert main(['--arch', 'resnet8', str(tmp_path / 'no.pth'), out]) == 1
    assert 'does not exist' in capsys.readouterr().err
    (tmp_path / 'text.pth').write_text('no checkpoint')
    assert main(['--arch', 'resnet8', str(tmp_path / 'text.pth'), out]) == 1
    assert 'cannot be read as weights' in capsys.readouterr().err
    torch.save({'model': torch.nn.Linear(2, 2)}, tmp_path / 'code.pth')
    assert main(['--arch', 'resnet8', str(tmp_path / 'code.pth'), out]) == 1
    assert 'holds code' in capsys.readouterr().err


def test_an_existing_file_stays(main, save, tmp_path, capsys):
    source = save(random_state('resnet8', torch.float32))
    before = (tmp_path / 'benchmark.pth').read_bytes()
    assert main(['--arch', 'resnet8', source, source]) == 1
    assert 'is read by this very command' in capsys.readouterr().err
    assert (tmp_path / 'benchmark.pth').read_bytes() == before


def test_a_failed_write_leaves_nothing(load_tool, save, tmp_path, monkeypatch, capsys):
    tool = load_tool('model_converters/crd_to_mmpretrain')
    source = save(random_state('resnet8', torch.float32))

    def full(checkpoint, file):
        file.write_bytes(b'half')
        raise OSError(28, 'No space left on device', str(file))

    monkeypatch.setattr(torch, 'save', full)
    assert tool.main(['--arch', 'resnet8', source, str(tmp_path / 'out.pth')]) == 1
    assert 'No space left' in capsys.readouterr().err
    assert [path.name for path in tmp_path.iterdir()] == ['benchmark.pth']


def test_unknown_arch(main, capsys):
    with pytest.raises(SystemExit) as info:
        main(['--arch', 'resnet9', 'in.pth', 'out.pth'])
    assert info.value.code == 2 and 'invalid choice' in capsys.readouterr().err


def test_of_two_networks_the_key_says_which(main, save, tmp_path, capsys):
    """As mdistiller's `latest` has them."""
    nets = {name: random_state('resnet8', torch.float32) for name in ('student', 'teacher')}
    nets['teacher'] = {name: value + 1 for name, value in nets['teacher'].items()}
    model = {f'module.{name}.{key}': value for name, state in nets.items() for key, value in state.items()}
    source, out = save(dict(epoch=240, model=model)), tmp_path / 'out.pth'
    assert main(['--arch', 'resnet8', source, str(out)]) == 1
    assert 'side by side, `student`, `teacher`: say which by `--key`' in capsys.readouterr().err and not out.exists()
    assert main(['--arch', 'resnet8', source, str(out), '--key', 'teacher']) == 0
    written = torch.load(out, weights_only=True)['state_dict']
    assert torch.equal(written['head.fc.weight'], nets['teacher']['fc.weight'])
