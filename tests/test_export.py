"""Export: a plain model, the same logits, nothing of the distillation left."""

import errno
import hashlib
import os
import re

import pytest
import torch
from mmengine.config import Config

from shake_mm.errors import UsageError
from shake_mm.export import export_student
from shake_mm.registry import MODELS
from tools.export_student import main

from .support.runs import run_config, train


def strip(network):
    """mmpretrain parts only, so that the exported config stands without shake_mm."""
    network['backbone'] = dict(type='MobileNetV2', widen_factor=0.1, out_indices=(7,))
    network['head']['in_channels'] = 1280
    return network


@pytest.fixture
def finished(make_classifier, trained, tmp_path):
    """A finished SHAKE run: its config file, checkpoint and model."""
    teacher = make_classifier(8, classes=100, mean=[50.0, 60, 70], std=[70.0, 80, 90], to_rgb=True)
    student = strip(make_classifier(6, classes=100))
    student['data_preprocessor'].update(mean=[50.0, 60, 70], std=[70.0, 80, 90], to_rgb=True)
    model = dict(type='shake_mm.SHAKE', student=student, teachers=dict(config=teacher, checkpoint=trained(teacher)))
    runner = train(model, tmp_path / 'run')
    run_config(model, tmp_path / 'run').dump(tmp_path / 'config.py')
    return tmp_path / 'config.py', tmp_path / 'run' / 'epoch_1.pth', runner.model.eval()


def test_logits_names_and_contents(finished, tmp_path):
    config, checkpoint, model = finished
    (tmp_path / 'teacher.pth').unlink()  # the export needs no teacher
    weights, plain = export_student(str(config), str(checkpoint), str(tmp_path / 'out'))
    digest = hashlib.sha256(weights.read_bytes()).hexdigest()[:8]
    assert re.fullmatch(rf'config_student_\d{{8}}-{digest}\.pth', weights.name)
    assert sorted(p.name for p in (tmp_path / 'out').iterdir()) == sorted([weights.name, plain.name])

    state = torch.load(weights, weights_only=True)['state_dict']
    assert not [key for key in state if re.search('student|proxy|proxies|teacher', key)]
    text = plain.read_text()
    assert not re.search(r'SHAKE|teacher|prox|MemberEval|FiniteGuard|StageHook', text)

    network = MODELS.build(Config.fromfile(plain).model).eval()
    network.load_state_dict(state, strict=True)
    inputs = torch.randn(3, 3, 16, 16)
    assert torch.equal(network(inputs, mode='tensor'), model(inputs, mode='tensor'))


def test_a_plain_mmpretrain_call_classifies_a_image(finished, tmp_path):
    from mmpretrain import ImageClassificationInferencer

    from shake_mm.datasets import DigitPairs

    config, checkpoint, model = finished
    weights, plain = export_student(str(config), str(checkpoint), str(tmp_path / 'named.pth'))
    assert plain == tmp_path / 'named.py' and weights.name.startswith('named_')
    image = DigitPairs(split='val', num_samples=4, image_size=16, pipeline=[])[0]['img']
    (result,) = ImageClassificationInferencer(str(plain), pretrained=str(weights), device='cpu')(image)
    data = model.data_preprocessor({'inputs': [torch.tensor(image).permute(2, 0, 1)]}, False)
    scores = model(data['inputs'], mode='tensor').softmax(1)[0].detach()
    torch.testing.assert_close(torch.tensor(result['pred_scores']), scores, rtol=1e-4, atol=1e-6)


def test_command_line(finished, tmp_path, capsys):
    config, checkpoint, _ = finished
    assert main([str(config), str(checkpoint), str(tmp_path / 'out')]) == 0
    assert 'verified' in capsys.readouterr().out


def test_errors_leave_nothing_behind(finished, make_classifier, trained, tmp_path, capsys):
    config, checkpoint, _ = finished
    other = trained(make_classifier(6), 'other.pth')
    for wrong, words in ((other, 'another network'), (tmp_path / 'no.pth', 'does not exist')):
        assert main([str(config), str(wrong), str(tmp_path / 'out')]) == 1
        assert words in capsys.readouterr().err
    assert main([str(config), str(checkpoint), str(tmp_path / 'out'), '--class-head-only']) == 1
    assert 'no DeiTClsHead' in capsys.readouterr().err
    Config(dict(model=dict(type='ImageClassifier'))).dump(tmp_path / 'plain.py')
    with pytest.raises(UsageError, match='model.student'):
        export_student(str(tmp_path / 'plain.py'), str(checkpoint), str(tmp_path / 'out'))
    assert not (tmp_path / 'out').exists()


def test_a_student_that_answers_differently_is_not_published(finished, tmp_path, monkeypatch):
    from shake_mm.tasks import ClassificationTask

    config, checkpoint, _ = finished
    original, changes = ClassificationTask.outputs, iter([0.0, 1.0])

    def answers(self, network, inputs):
        change = next(changes)
        return [logits + change for logits in original(self, network, inputs)]

    monkeypatch.setattr(ClassificationTask, 'outputs', answers)
    with pytest.raises(RuntimeError, match='nothing was published'):
        export_student(str(config), str(checkpoint), str(tmp_path / 'out'))
    assert not (tmp_path / 'out').exists()


def test_a_config_that_no_export_wrote_stays(finished, tmp_path, capsys):
    """Neither the user's, nor the very one that is exported; an export may be repeated."""
    config, checkpoint, _ = finished
    before = config.read_bytes()
    assert main([str(config), str(checkpoint), str(tmp_path / 'config.pth')]) == 1
    assert 'config.py is read by this very command' in capsys.readouterr().err
    (tmp_path / 'mine.py').write_text('a = 1\n')
    argv = [str(config), str(checkpoint), str(tmp_path / 'mine.pth')]
    assert main(argv) == 1
    assert 'mine.py exists and was not written by shake_mm' in capsys.readouterr().err
    assert (tmp_path / 'mine.py').read_text() == 'a = 1\n' and config.read_bytes() == before
    assert not list(tmp_path.glob('mine_*'))
    assert main([*argv, '--overwrite']) == 0 == main(argv)
    assert 'a = 1' not in (tmp_path / 'mine.py').read_text()


def test_a_full_disk_leaves_nothing_and_keeps_what_was_there(finished, tmp_path, monkeypatch):
    def full(handle):
        raise OSError(errno.ENOSPC, 'No space left on device')

    config, checkpoint, _ = finished
    out = tmp_path / 'out'
    kept = {path.name: path.read_bytes() for path in export_student(str(config), str(checkpoint), str(out))}
    monkeypatch.setattr(os, 'fsync', full)
    with pytest.raises(OSError, match='nothing was exported'):
        export_student(str(config), str(checkpoint), str(out))
    assert {path.name: path.read_bytes() for path in out.iterdir()} == kept


def test_a_network_that_keeps_weights_to_itself_is_refused(tmp_path):
    """A LoRA's checkpoints have no base: what would be written is no model."""
    vit = dict(type='VisionTransformer', arch='deit-tiny', img_size=32, patch_size=16, out_type='cls_token')
    lora = dict(type='LoRAModel', module=vit, alpha=4, rank=2, targets=[dict(type='.*qkv')])
    head = dict(type='LinearClsHead', num_classes=5, in_channels=192)
    network = dict(type='ImageClassifier', backbone=lora, head=head)
    network['data_preprocessor'] = dict(mean=[0.0, 0.0, 0.0], std=[1.0, 1.0, 1.0], to_rgb=False)
    model = dict(type='shake_mm.KD', student=network, teachers=[dict(config=network, trainable=True)])
    run_config(model, tmp_path / 'run').dump(tmp_path / 'config.py')
    torch.save({'state_dict': {}, 'meta': {}}, tmp_path / 'a.pth')
    with pytest.raises(UsageError, match='export: a LoRAModel leaves weights out of its checkpoints'):
        export_student(str(tmp_path / 'config.py'), str(tmp_path / 'a.pth'), str(tmp_path / 'out'))
    assert not (tmp_path / 'out').exists()
