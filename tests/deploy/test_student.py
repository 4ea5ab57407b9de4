"""Deployed students: the file's answers against OpenMMLab's own, from pixels on, and what is refused."""

import json
import subprocess
import sys
from functools import partial
from importlib.util import find_spec

import pytest
import torch
from mmengine.config import Config
from mmengine.registry import DefaultScope
from packaging.version import Version

from shake_mm.deploy import deploy_student, formats, student
from shake_mm.deploy.formats import MARK, read_onnx, read_torchscript
from shake_mm.errors import UsageError
from shake_mm.registry import MODELS
from tools.deploy import main

from ..support.detectors import HEADS, detector, lively
from ..support.segmentors import segmentor

needs_onnx = pytest.mark.skipif(
    any(find_spec(name) is None for name in ('onnx', 'onnxruntime')),
    reason='onnx or onnxruntime is not installed: requirements/deploy.txt',
)
FORMATS = ['pt', pytest.param('onnx', marks=needs_onnx)]


def pixels(number, *size):
    """Pictures of whole pixels, (number, 3, *size)."""
    return torch.randint(256, (number, 3, *size), generator=torch.Generator().manual_seed(9), dtype=torch.uint8)


def answers(path, images):
    """What a file answers, by the names that stand in it."""
    if path.suffix == '.onnx':
        import onnx

        names = [output.name for output in onnx.load(str(path)).graph.output]
        return dict(zip(names, read_onnx(path)(images.float()), strict=True))
    return list(read_torchscript(path)(images.float()))


def saved(model, folder, scope, **more):
    """A config, the checkpoint of a lively network of it, and that network."""
    with DefaultScope.overwrite_default_scope(scope):
        network = lively(model).eval()
    meta = dict(dataset_meta=dict(classes=('a', 'b', 'c', 'd', 'e')))
    torch.save(dict(state_dict=network.state_dict(), meta=meta), folder / 'network.pth')
    return Config(dict(model=model, default_scope=scope, **more)), str(folder / 'network.pth'), network


def prepared(network, images):
    """Pixels as the network's own preprocessor gives them on."""
    return network.data_preprocessor(dict(inputs=list(images)), False)['inputs']


@pytest.mark.parametrize('ending', FORMATS)
def test_a_distilled_classifier_answers_to_pixels(ending, make_classifier, tmp_path, capsys):
    """By the command, from the config of a distillation and its checkpoint: RGB, mean and std are in the file."""
    own = dict(mean=[50.0, 60, 70], std=[70.0, 80, 90], to_rgb=True)
    _, _, network = saved(make_classifier(6, **own), tmp_path, 'mmpretrain')
    state = {f'student.{key}': value for key, value in network.state_dict().items()}
    meta = dict(dataset_meta=dict(classes=tuple('abcde')))
    torch.save(dict(state_dict=state, meta=meta), tmp_path / 'epoch_1.pth')
    teacher = dict(config=make_classifier(8, **own), checkpoint='gone.pth')
    model = dict(type='shake_mm.SHAKE', student=make_classifier(6, **own), teachers=teacher)
    Config(dict(model=model, default_scope='mmpretrain')).dump(tmp_path / 'config.py')
    out = tmp_path / 'deep' / f'small.{ending}'
    assert main([str(tmp_path / 'config.py'), str(tmp_path / 'epoch_1.pth'), str(out), '--shape', '16', '24']) == 0
    told = capsys.readouterr().out
    assert 'float32 (batch, 3, 16, 24)' in told and 'scores  (batch, 5)' in told and 'verified    PyTorch' in told
    assert [path.name for path in out.parent.iterdir()] == [out.name]

    for number in (1, 5):
        images = pixels(number, 16, 24)
        logits = network(prepared(network, images), mode='tensor').detach()
        got = answers(out, images)
        if ending == 'onnx':
            assert list(got) == ['logits', 'scores']
            got = got.values()
        for mine, its in zip(got, (logits, logits.softmax(dim=1)), strict=True):
            torch.testing.assert_close(mine, its, rtol=1e-4, atol=1e-5)
    says_what_it_takes(out)


def says_what_it_takes(out):
    """The facts that stand in a file, and that it runs where neither OpenMMLab nor this package is."""
    if out.suffix == '.onnx':
        import onnx

        facts = {entry.key: entry.value for entry in onnx.load(str(out)).metadata_props}
        read = f'import numpy, onnxruntime as o; f = o.InferenceSession({str(out)!r}); '
        read += "print(len(f.run(None, {'images': numpy.zeros((2, 3, 16, 24), 'float32')})))"
    else:
        extra = {'shake_mm.json': ''}
        torch.jit.load(str(out), _extra_files=extra)
        facts = json.loads(extra['shake_mm.json'])
        read = f'import torch; print(len(torch.jit.load({str(out)!r})(torch.zeros(2, 3, 16, 24))))'
    assert facts['about'] == MARK and json.loads(facts['classes']) == list('abcde') and '16, 24' in facts['input']
    code = f'import sys; sys.modules.update(mmengine=None, shake_mm=None); {read}'
    result = subprocess.run([sys.executable, '-W', 'ignore', '-c', code], capture_output=True, text=True)
    assert result.stdout == '2\n', result.stderr


def test_many_labels_get_sigmoids_and_the_pipeline_s_normalization_counts(make_classifier, tmp_path):
    """A pipeline that ends in tensors of 0 to 1, and no preprocessor's mean: the file takes pixels all the same."""
    model = make_classifier()
    model['head'] = dict(type='MultiLabelLinearClsHead', num_classes=5, in_channels=6)
    pipeline = [
        dict(type='LoadImageFromFile'),
        dict(type='Resize', scale=(24, 16)),
        dict(type='Normalize', mean=[10.0, 20, 30], std=[2.0, 4, 8], to_rgb=True),
        dict(type='PackInputs'),
    ]
    loader = dict(dataset=dict(type='RepeatDataset', dataset=dict(type='CustomDataset', pipeline=pipeline)))
    cfg, weights, network = saved(model, tmp_path, 'mmpretrain', test_dataloader=loader)
    written = deploy_student(cfg, weights, str(tmp_path / 'a.pt'))
    assert written.shape == (3, 16, 24)  # mmcv's scale is width and height
    images = pixels(2, 16, 24)
    mean, std = (torch.tensor(values).view(3, 1, 1) for values in ([10.0, 20, 30], [2.0, 4, 8]))
    logits = network((images[:, [2, 1, 0]] - mean) / std, mode='tensor')
    for mine, its in zip(answers(tmp_path / 'a.pt', images), (logits, logits.sigmoid()), strict=True):
        torch.testing.assert_close(mine, its, rtol=1e-5, atol=1e-6)


def slow_but(first, kinds):
    """All kinds, of which one is tried in the fast lane."""
    return [kind if kind == first else pytest.param(kind, marks=pytest.mark.slow) for kind in kinds]


@pytest.mark.parametrize('ending', FORMATS)
@pytest.mark.parametrize('kind', slow_but('retinanet', HEADS))
def test_the_maps_of_a_detector_are_all_that_its_boxes_need(kind, ending, tmp_path):
    """mmdet makes the same boxes of the file's maps as it predicts by itself."""
    cfg, weights, network = saved(detector(kind), tmp_path, 'mmdet')
    out = tmp_path / f'a.{ending}'
    written = deploy_student(cfg, weights, str(out), [64])
    names = {'fcos': 'centernesses', 'atss': 'centernesses'}.get(kind)
    groups = ['cls_scores', 'bbox_preds', *([names] if names else [])]
    assert list(written.outputs) == [f'{group}_{level}' for group in groups for level in range(3)]

    images, meta = pixels(3, 64, 64), dict(img_shape=(64, 64), ori_shape=(64, 64), scale_factor=(1.0, 1.0))
    got = answers(out, images)
    got = list(got.values()) if ending == 'onnx' else got
    levels = [got[3 * i : 3 * i + 3] for i in range(len(groups))]
    with torch.no_grad():
        features = network.extract_feat(prepared(network, images))
        expected = network.bbox_head(features)
        for mine, its in zip(levels, expected, strict=True):
            for a, b in zip(mine, its, strict=True):
                torch.testing.assert_close(a, b, rtol=1e-3, atol=1e-4 * float(b.abs().max().clamp(min=1)))
        if ending == 'pt':  # to the bit, so that the suppression decides alike
            mine = network.bbox_head.predict_by_feat(*levels, batch_img_metas=[meta] * 3)
            its = network.bbox_head.predict_by_feat(*expected, batch_img_metas=[meta] * 3)
            assert all(len(a) and torch.equal(a.bboxes, b.bboxes) for a, b in zip(mine, its, strict=True))


@pytest.mark.parametrize('ending', FORMATS)
@pytest.mark.parametrize('kind', slow_but('fcn', ['fcn', 'psp', 'segmenter', 'ocr']))
def test_a_segmentor_gives_the_logits_of_every_pixel(kind, ending, tmp_path):
    pytest.importorskip('mmseg')
    from mmseg.structures import SegDataSample

    cfg, weights, network = saved(segmentor(kind), tmp_path, 'mmseg')
    out = tmp_path / f'a.{ending}'
    assert deploy_student(cfg, weights, str(out), [64]).outputs == {'logits': (5, 64, 64)}
    images = pixels(3, 64, 64)
    samples = [SegDataSample(metainfo=dict(img_shape=(64, 64), ori_shape=(64, 64), pad_shape=(64, 64)))] * 3
    data = network.data_preprocessor(dict(inputs=list(images), data_samples=samples), False)
    with torch.no_grad():
        predicted = network(**data, mode='predict')
    got = answers(out, images)
    (logits,) = got.values() if ending == 'onnx' else got
    for mine, sample in zip(logits, predicted, strict=True):
        torch.testing.assert_close(mine, sample.seg_logits.data, rtol=1e-3, atol=1e-4)


def test_of_a_sliding_segmentor_one_window_is_deployed(tmp_path):
    pytest.importorskip('mmseg')
    cfg, weights, _ = saved(segmentor(mode='slide'), tmp_path, 'mmseg')
    assert deploy_student(cfg, weights, str(tmp_path / 'a.pt')).shape == (3, 48, 48)


def test_what_is_no_plain_map_is_refused(tmp_path):
    """A two-stage detector, a size that is padded, no size, no format."""
    cfg, weights, _ = saved(detector('faster_rcnn'), tmp_path, 'mmdet')
    for out, size, words in (
        ('a.pt', [64], 'what a FasterRCNN answers is more than plain maps.*mmdeploy, see docs/deploy.md'),
        ('a.pt', [50, 64], '--shape 50 64 is padded.*give --shape 64 64'),
        ('a.pt', None, 'give it by --shape HEIGHT WIDTH'),
        ('a.engine', [64], "'a.engine' tells no format"),
    ):
        with pytest.raises(UsageError, match=words):
            deploy_student(cfg, weights, out, size)
    assert [path.name for path in tmp_path.iterdir()] == ['network.pth']


def test_packages_that_are_missing_are_named(make_classifier, tmp_path, monkeypatch):
    cfg, weights, _ = saved(make_classifier(), tmp_path, 'mmpretrain')
    monkeypatch.setattr(formats, 'find_spec', lambda name: None)
    with pytest.raises(UsageError, match='written with onnx.*run `pip install onnx onnxscript onnxruntime`'):
        deploy_student(cfg, weights, str(tmp_path / 'a.onnx'), [16])
    assert not (tmp_path / 'a.onnx').exists()


@needs_onnx
def test_the_exporter_of_an_older_torch_writes_the_same(make_classifier, tmp_path, monkeypatch):
    """By tracing, as every torch before 2.9 does; later ones still can."""
    cfg, weights, network = saved(make_classifier(), tmp_path, 'mmpretrain')
    monkeypatch.setattr(formats, '_is_old', lambda: True)
    if not formats.PRESENT > Version(torch.__version__):
        monkeypatch.setattr(torch.onnx, 'export', partial(torch.onnx.export, dynamo=False))
    written = deploy_student(cfg, weights, str(tmp_path / 'a.onnx'), [16])
    images = pixels(5, 16, 16)
    got = answers(written.path, images)
    assert list(got) == ['logits', 'scores'] and written.difference < 1e-5
    torch.testing.assert_close(got['logits'], network(images.float(), mode='tensor').detach(), rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize('ending', ['pt', pytest.param('onnx', marks=[needs_onnx, pytest.mark.slow])])
def test_only_a_file_of_ours_is_replaced(ending, make_classifier, tmp_path):
    cfg, weights, _ = saved(make_classifier(), tmp_path, 'mmpretrain')
    out = tmp_path / f'a.{ending}'
    out.write_bytes(b'mine')
    with pytest.raises(UsageError, match='was not written by shake_mm'):
        deploy_student(cfg, weights, str(out), [16])
    assert out.read_bytes() == b'mine'
    for overwrite, size in ((True, [16]), (False, [24])):
        assert deploy_student(cfg, weights, str(out), size, overwrite=overwrite).shape[2] == size[0]


def test_a_file_that_answers_otherwise_is_not_kept(make_classifier, tmp_path, monkeypatch):
    cfg, weights, _ = saved(make_classifier(), tmp_path, 'mmpretrain')
    read = student.read_torchscript
    monkeypatch.setattr(student, 'read_torchscript', lambda path: lambda x: [1.01 * y for y in read(path)(x)])
    with pytest.raises(RuntimeError, match="'logits' of the TorchScript file is not what PyTorch answers"):
        deploy_student(cfg, weights, str(tmp_path / 'a.pt'), [16])
    monkeypatch.setattr(torch.jit, 'trace', lambda *args, **kwargs: 1 / 0)
    with pytest.raises(UsageError, match='torch cannot write this ImageClassifier as TorchScript'):
        deploy_student(cfg, weights, str(tmp_path / 'a.pt'), [16])
    assert [path.name for path in tmp_path.iterdir()] == ['network.pth']


def test_any_model_gives_its_tensors_in_order(tmp_path):
    """A plain network of torchvision, whose task the config names."""
    plain = dict(type='shake_mm.PlainModel', network=dict(type='torchvision.models.squeezenet1_1', num_classes=4))
    model = dict(
        plain, loss=dict(type='torch.nn.CrossEntropyLoss'), data_preprocessor=dict(type='BaseDataPreprocessor')
    )
    with DefaultScope.overwrite_default_scope('mmengine'):
        network = MODELS.build(dict(model)).eval()
    torch.save(dict(state_dict=network.state_dict()), tmp_path / 'a.pth')
    written = deploy_student(Config(dict(model=model)), str(tmp_path / 'a.pth'), str(tmp_path / 'a.pt'), [64])
    images = pixels(2, 64, 64)
    assert written.outputs == {'output_0': (4,)}
    torch.testing.assert_close(answers(tmp_path / 'a.pt', images)[0], network(images.float(), mode='tensor'))
