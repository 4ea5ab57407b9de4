"""Teachers of other libraries with tokens, a resolution and a normalization of their own; pictures without labels."""

import json

import cv2
import numpy as np
import pytest
import torch
from mmengine.config import Config
from mmengine.runner import Runner
from mmpretrain.structures import DataSample
from torch.nn import functional as F

from shake_mm.compat import configs_dir
from shake_mm.engine.dry_run import facts_of
from shake_mm.errors import UsageError
from shake_mm.export import export_student
from shake_mm.registry import MODELS
from tools.train import main as train

from .conftest import classifier

VIT = dict(
    type='timm.create_model',
    model_name='vit_tiny_patch16_224',
    img_size=32,
    patch_size=8,
    depth=2,
    embed_dim=24,
    num_heads=2,
    num_classes=0,
)
SIZES = dict(
    hidden_size=24, num_hidden_layers=2, num_attention_heads=2, intermediate_size=24, image_size=32, patch_size=8
)
RGB = dict(type='ImgDataPreprocessor', mean=[120.0, 110.0, 100.0], std=[60.0, 50.0, 40.0], bgr_to_rgb=True)
TRANSFORMERS = dict(
    type='transformers.Dinov2Model', config=dict(type='transformers.Dinov2Config', **{**SIZES, 'mlp_ratio': 1})
)


def term(tap):
    """The student's last level along the tokens of a tap."""
    return dict(
        of='student.f4',
        to=f'teacher0.{tap}',
        connector=dict(type='ProjectMap'),
        to_connector=dict(type='TokenMap'),
        loss=dict(type='CosineLoss'),
    )


def student():
    """A classifier that sees BGR images, normalized in its own way."""
    model = classifier(6, mean=[50.0, 60.0, 70.0], std=[70.0, 80.0, 90.0])
    model['backbone'].update(type='mmpretrain.ResNet', out_indices=(3,), num_stages=4, base_channels=4, depth=18)
    model['backbone'].pop('widths'), model['head'].update(in_channels=32)
    return model


def distiller(teacher, tap, **entry):
    torch.manual_seed(0)
    network = MODELS.build(teacher)
    with torch.no_grad():
        for parameter in network.parameters():
            parameter.add_(0.2 * torch.randn_like(parameter))
    terms = dict(cosine=term(tap))
    entry = dict(config=network, resize=32, **entry)
    return MODELS.build(
        dict(type='shake_mm.Distiller', student=student(), teachers=entry, terms=terms, input_size=64)
    ), network


def wanted(model, tokens, inputs):
    """The loss, written out in float64."""
    connector = model.terms['cosine'].connector
    with torch.no_grad():
        feature = model.student.backbone(inputs)[-1].double()
        weight = connector.conv.weight[:, :, 0, 0].double()
        feature = torch.einsum('oc,nchw->nohw', weight, feature) + connector.conv.bias.double()[:, None, None]
    feature = F.interpolate(feature, size=(4, 4), mode='bilinear')
    total = 0.0
    for n, row, column in np.ndindex(len(inputs), 4, 4):
        a, b = feature[n, :, row, column], tokens[n, 1 + 4 * row + column].double()
        total += 1 - float(a @ b / (a.norm() * b.norm()))
    return total / (len(inputs) * 16)


def folder_of(tmp_path):
    """A folder that transformers takes for a published network, without weights."""
    import transformers

    transformers.ViTConfig(**SIZES, num_labels=5).save_pretrained(tmp_path)
    return str(tmp_path)


TEACHERS = {
    'timm': (lambda folder: dict(type='shake_mm.PlainModel', network=VIT, data_preprocessor=RGB), 'network.norm'),
    'transformers': (
        lambda folder: dict(type='shake_mm.PlainModel', network=TRANSFORMERS, data_preprocessor=RGB),
        'network.layernorm',
    ),
    'TimmClassifier': (
        lambda folder: dict(
            type='TimmClassifier',
            **{**{k: v for k, v in VIT.items() if k != 'type'}, 'num_classes': 5},
            data_preprocessor=dict(type='ClsDataPreprocessor', mean=RGB['mean'], std=RGB['std'], to_rgb=True),
        ),
        'model.norm',
    ),
    'HuggingFaceClassifier': (
        lambda folder: dict(
            type='HuggingFaceClassifier',
            model_name=folder_of(folder),
            data_preprocessor=dict(type='ClsDataPreprocessor', mean=RGB['mean'], std=RGB['std'], to_rgb=True),
        ),
        'model.vit.layernorm',
    ),
}


@pytest.mark.parametrize('library', TEACHERS)
def test_tokens_of_a_teacher_that_sees_another_view(library, tmp_path):
    """Its own resolution, channel order, mean and standard deviation; each token where its patch is."""
    config, tap = TEACHERS[library]
    model, network = distiller(config(tmp_path), tap)
    model.eval()
    inputs = torch.randn(2, 3, 64, 64)
    losses = model(inputs, [DataSample(), DataSample()], mode='loss')
    assert list(losses) == ['loss_cosine']

    raw = inputs * torch.tensor([70.0, 80.0, 90.0])[:, None, None] + torch.tensor([50.0, 60.0, 70.0])[:, None, None]
    mean, std = (torch.tensor(RGB[key])[:, None, None] for key in ('mean', 'std'))
    view = F.interpolate((raw.flip(1) - mean) / std, size=(32, 32), mode='bilinear')
    heard = []
    network.get_submodule(tap).register_forward_hook(lambda *call: heard.append(call[-1]))
    with torch.no_grad():
        network(view)
    assert heard[0].shape == (2, 17, 24)
    assert losses['loss_cosine'].item() == pytest.approx(wanted(model, heard[0], inputs), rel=1e-4)
    losses['loss_cosine'].backward()
    assert model.student.backbone.conv1.weight.grad.abs().max() > 0
    assert all(parameter.grad is None for parameter in network.parameters())


def test_logits_of_a_bare_network(batch):
    """Where the entry says which they are, they are compared and measured as any classifier's."""
    teacher = MODELS.build(dict(type='shake_mm.PlainModel', network={**VIT, 'num_classes': 5}, data_preprocessor=RGB))
    with torch.no_grad():
        teacher.network.head.weight.add_(torch.randn_like(teacher.network.head.weight))
    entry = dict(config=teacher, resize=32, taps=dict(logits='network.head'))
    model = MODELS.build(dict(type='shake_mm.KD', student=classifier(6), teachers=entry))
    inputs, samples = batch()
    value = model(inputs, samples, mode='loss')['loss_student_from_teacher']
    assert value.isfinite() and value > 0 and model.members.compared
    without = dict(type='shake_mm.KD', student=classifier(6), teachers=dict(config=teacher))
    with pytest.raises(UsageError, match='teacher0: which layer of a PlainModel makes its logits is not known'):
        MODELS.build(without)


def test_channels_of_tokens_are_their_last_dimension():
    facts = facts_of(torch.empty(2, 17, 24), torch.empty(2, 6, 4, 4), None)
    assert facts['in_channels'] == 24 and facts['out_channels'] == 6
    assert facts_of(torch.empty(2, 17), None, None)['in_channels'] == 17


def test_a_network_that_brings_its_weights_needs_no_checkpoint():
    entry = dict(type='shake_mm.PlainModel', network={**VIT, 'pretrained': False}, data_preprocessor=RGB)
    options = dict(type='shake_mm.Distiller', student=student(), terms=dict(x=term('network.norm')), input_size=64)
    with pytest.raises(UsageError, match='a frozen teacher needs trained weights'):
        MODELS.build(dict(options, teachers=dict(config=entry, resize=32)))
    from shake_mm.members.build import _brings_weights

    assert _brings_weights({**entry, 'network': {**VIT, 'pretrained': True}})
    assert _brings_weights({**entry, 'network': dict(type='transformers.AutoModel.from_pretrained')})
    assert not _brings_weights(entry) and not _brings_weights(classifier(6))


@pytest.fixture
def pictures(tmp_path):
    """A folder of pictures of two sizes, in folders that mean nothing."""
    numbers = np.random.default_rng(0)
    for i in range(8):
        path = tmp_path / f'pictures/{i % 3}/{i}.png'
        path.parent.mkdir(parents=True, exist_ok=True)
        cv2.imwrite(str(path), numbers.integers(0, 256, (40 + 8 * (i % 2), 44, 3), dtype=np.uint8))
    return tmp_path / 'pictures'


def thin(pictures, folder):
    """The config of a ResNet-18 that follows DINOv2, with tiny networks on 64 pixels."""
    cfg = Config.fromfile(f'{configs_dir()}/fitnets/cosine_dinov2-s_resnet18_pictures.py')
    cfg.model.student.backbone.base_channels = 4
    cfg.model.student.head.in_channels = 32
    cfg.model.teachers.config.network = VIT
    torch.save(MODELS.build(dict(type='shake_mm.PlainModel', network=VIT)).network.state_dict(), folder / 'vit.pth')
    cfg.model.teachers.update(resize=32, checkpoint=str(folder / 'vit.pth'))
    cfg.model.input_size = 64
    cfg.train_dataloader.update(batch_size=4, num_workers=0, persistent_workers=False)
    cfg.train_dataloader.dataset.update(data_root=str(pictures))
    resize = dict(type='Resize', scale=(64, 64))
    cfg.train_dataloader.dataset.pipeline = [dict(type='LoadImageFromFile'), resize, dict(type='PackInputs')]
    cfg.train_cfg.max_epochs = 2
    cfg.randomness = dict(seed=0, deterministic=True)
    cfg.default_hooks.logger.interval = 1
    cfg.log_level, cfg.work_dir = 'WARNING', str(folder / 'run')
    cfg.dump(folder / 'run.py')
    return str(folder / 'run.py')


def test_pictures_without_labels_then_fine_tuning_by_a_plain_config(pictures, tmp_path):
    config, run = thin(pictures, tmp_path), tmp_path / 'run'
    assert train([config]) == 0
    lines = [json.loads(line) for line in next(run.glob('*/vis_data/scalars.json')).open()]
    assert all(line['loss'] == pytest.approx(line['loss_cosine']) for line in lines) and len(lines) == 4
    states = torch.load(run / 'epoch_2.pth', weights_only=True)['state_dict']
    assert not any('teacher' in key for key in states)

    (run / 'epoch_2.pth').unlink()
    (run / 'last_checkpoint').write_text(str(run / 'epoch_1.pth'))
    assert train([config, '--resume']) == 0
    resumed = torch.load(run / 'epoch_2.pth', weights_only=True)['state_dict']
    assert all(torch.equal(states[key], resumed[key]) for key in states)

    weights, plain = export_student(config, str(run / 'epoch_2.pth'), str(tmp_path / 'backbone.pth'))
    text = plain.read_text()
    assert 'timm' not in text and 'Distiller' not in text
    exported = torch.load(weights, weights_only=True)['state_dict']
    start = torch.load(run / 'epoch_1.pth', weights_only=True)['state_dict']
    assert not torch.equal(exported['backbone.conv1.weight'], start['student.backbone.conv1.weight'])
    assert torch.equal(exported['head.fc.weight'], start['student.head.fc.weight'])  # nobody has taught it

    fine = Config(dict(default_scope='mmpretrain', model=Config.fromfile(plain).model, load_from=str(weights)))
    fine.update(work_dir=str(tmp_path / 'fine'), log_level='WARNING', experiment_name='fine')
    fine.model.head.num_classes = 3
    loader = Config.fromfile(config).train_dataloader
    loader.dataset.update(with_label=True)
    fine.update(train_dataloader=loader, train_cfg=dict(by_epoch=True, max_epochs=1))
    fine.optim_wrapper = dict(optimizer=dict(type='SGD', lr=0.0))
    fine.data_preprocessor = dict(num_classes=3, mean=[1.0, 2.0, 3.0], std=[1.0, 1.0, 1.0])
    runner = Runner.from_cfg(fine)
    runner.train()
    assert torch.equal(runner.model.backbone.conv1.weight.detach(), exported['backbone.conv1.weight'])


def test_a_student_that_learns_from_labels_wants_them(pictures, tmp_path, capsys):
    cfg = Config.fromfile(thin(pictures, tmp_path))
    cfg.model.terms.task = dict(of='student')
    cfg.dump(tmp_path / 'labels.py')
    assert train([str(tmp_path / 'labels.py'), '--work-dir', str(tmp_path / 'other')]) == 1
    assert 'the samples hold no label' in capsys.readouterr().err
