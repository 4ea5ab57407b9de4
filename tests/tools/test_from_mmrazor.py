"""Every public distillation config of mmrazor, run by mmrazor and, translated, by us: the same losses, step by step."""

import copy
import re
from importlib.util import find_spec
from pathlib import Path

import pytest
import torch
from mmengine.config import Config, ConfigDict
from mmengine.logging import MMLogger
from mmengine.registry import DefaultScope
from mmpretrain.structures import DataSample

from shake_mm.errors import UsageError
from shake_mm.registry import MODELS

from ..configs.detectors import batch, model_of, thin
from ..configs.test_segmentors import thin as thin_segmentor
from ..support.segmentors import pictures
from ..support.stacks import needs_mmrazor

pytestmark = needs_mmrazor

FAST = ['mmcls/fitnets/fitnets_backbone_logits_resnet50_resnet18_8xb32_in1k']
RUN = [
    *FAST,
    'mmcls/dkd/dkd_resnet34_resnet18_8xb32_in1k',
    'mmcls/abloss/abloss_logits_resnet50_resnet18_8xb32_in1k',
    'mmcls/abloss/abloss_pretrain_backbone_resnet50_resnet18_8xb32_in1k',
    'mmcls/byot/byot_resnet18_8xb16_cifar100',
    'mmcls/dist/dist_logits_resnet34_resnet18_8xb32_in1k',
    'mmcls/factor_transfer/factor-transfer_backbone_resnet50_resnet18_8xb16_cifar10_pretrain',
    'mmcls/factor_transfer/factor-transfer_backbone_resnet50_resnet18_8xb16_cifar10_train',
    'mmcls/kd/kd_logits_resnet34_resnet18_8xb32_in1k',
    'mmcls/kd/kd_logits_resnet50_mobilenet-v2_8xb32_in1k',
    'mmcls/kd/kd_logits_resnet50_shufflenet-v2-1x_16xb64_in1k',
    'mmcls/ofd/ofd_backbone_resnet50_resnet18_8xb16_cifar10',
    'mmcls/rkd/rkd_neck_resnet34_resnet18_8xb32_in1k',
    'mmcls/wsld/wsld_logits_resnet34_resnet18_8xb32_in1k',
    'mmdet/cwd/cwd_cls_head_gfl_r101_fpn_gfl_r50_fpn_1x_coco',
    'mmdet/cwd/cwd_fpn_frcnn_r101_frcnn_r50_1x_coco',
    'mmdet/cwd/cwd_fpn_retina_r101_retina_r50_1x_coco',
    'mmdet/fbkd/fbkd_fpn_faster-rcnn_r101_faster-rcnn_r50_1x_coco',
    'mmdet/mgd/mgd_fpn_retina_x101_retina_r50_2x_coco',
    'mmdet/pkd/pkd_fpn_faster-rcnn_r101_faster-rcnn_r50_2x_coco',
    'mmdet/pkd/pkd_fpn_fcos_x101_retina_r50_1x_coco',
    'mmdet/pkd/pkd_fpn_mask-rcnn_swin_retina_r50_2x_coco',
    'mmdet/pkd/pkd_fpn_reppoints_x101-dcn_reppoints_r50_2x_coco',
    'mmdet/pkd/pkd_fpn_retina_x101_retina_r50_2x_coco',
    'mmseg/cwd/cwd_logits_pspnet_r101-d8_pspnet_r18-d8_4xb2-80k_cityscapes-512x1024',
]
SCOPES = {'mmcls': 'mmpretrain', 'mmdet': 'mmdet', 'mmseg': 'mmseg'}
NARROWER = 8


@pytest.fixture(autouse=True)
def quiet():
    MMLogger.get_instance('mmengine', log_level='ERROR')


@pytest.fixture(scope='session')
def zoo(tmp_path_factory):
    """mmrazor's configs, as the guide has them changed: `mmcls` is called mmpretrain, `faster_rcnn_r` faster-rcnn_r."""
    folder = tmp_path_factory.mktemp('mmrazor')
    source = Path(find_spec('mmrazor').origin).parent / '.mim/configs'
    for path in source.rglob('*.py'):
        copied = folder / path.relative_to(source)
        copied.parent.mkdir(parents=True, exist_ok=True)
        text = re.sub(r"mmcls(::|\.|')", r'mmpretrain\1', path.read_text())
        copied.write_text(text.replace('faster_rcnn_r', 'faster-rcnn_r'))
    return folder


@pytest.fixture
def tool(load_tool):
    return load_tool('misc/from_mmrazor')


def network(entry, zoo):
    """The model dict of a network of mmrazor's config."""
    path = entry.get('cfg_path', '')
    own = path.removeprefix('mmrazor::')
    return model_of(str(zoo / own) if own != path else path) if path else ConfigDict(copy.deepcopy(entry))


def narrowed(model, scope, teacher):
    """A network of the same layers, of fewer channels, and without weights."""
    if scope == 'mmseg':
        model = thin_segmentor(model)
        for head in (model.decode_head, model.auxiliary_head):
            head.dropout_ratio = 0  # which mmrazor's teacher does, too
    elif scope == 'mmdet':
        model.backbone = dict(
            type='ResNet', depth=18, num_stages=4, out_indices=(0, 1, 2, 3), norm_cfg=dict(type='BN'), norm_eval=True
        )
        model.neck.in_channels = [256, 512, 1024, 2048]
        model = thin(model, 16 if teacher else 8)
    elif model.backbone.type in ('ResNet', 'mmpretrain.ResNet', 'ResNet_CIFAR', 'mmpretrain.ResNet_CIFAR'):
        model.backbone.update(base_channels=64 // NARROWER, stem_channels=64 // NARROWER)
        model.head.in_channels //= NARROWER
    model['_scope_'] = scope
    return model


def shrunk(cfg, kind, zoo):
    """mmrazor's model config of narrow networks, and of connectors that fit them."""
    model, scope = copy.deepcopy(cfg.model), SCOPES[kind]
    model.pop('teacher_ckpt', None)
    model.pop('init_cfg', None)
    wide = 'wrn' in str(model.architecture.get('cfg_path'))
    for side in ('architecture', 'teacher'):
        if side in model:
            model[side] = narrowed(network(model[side], zoo), scope, side == 'teacher')
    for connector in (model.distiller.get('connectors') or {}).values():
        for key in ('in_channel', 'out_channel', 'in_channels', 'student_channels', 'teacher_channels'):
            if key in connector and not wide:
                connector[key] //= NARROWER
    return model


def data(kind, model):
    """A preprocessed batch: images and samples."""
    if kind == 'mmcls':
        generator = torch.Generator().manual_seed(0)
        images = torch.randn(4, 3, 32, 32, generator=generator, dtype=torch.float64)
        return images, [DataSample().set_gt_label(label) for label in (1, 3, 0, 3)]
    raw = pictures() if kind == 'mmseg' else batch(128)
    processed = model.student.data_preprocessor(raw, True)
    return processed['inputs'], processed['data_samples']


def both(tool, zoo, name):
    """mmrazor's algorithm and our distiller of the same weights."""
    import mmrazor.models  # noqa: F401  takes 5 s
    from mmrazor.registry import MODELS as THEIRS

    kind = name.partition('/')[0]
    cfg = Config.fromfile(zoo / f'distill/{name}.py')
    model = shrunk(cfg, kind, zoo)
    mine = tool.translated_model(copy.deepcopy(model))
    torch.manual_seed(0)
    with DefaultScope.overwrite_default_scope('mmrazor'):
        theirs = THEIRS.build(copy.deepcopy(model))
    if 'teacher' in model:
        teacher = MODELS.build(copy.deepcopy(model.teacher))
        teacher.load_state_dict(theirs.teacher.state_dict())
        mine['teachers'] = dict(config=teacher)
    mine['input_size'] = 32 if kind == 'mmcls' else 128
    mine['student'] = mine['student']['config']
    if 'data_preprocessor' in cfg and 'data_preprocessor' not in mine['student']:  # the Runner does it
        mine['data_preprocessor'] = dict(cfg.data_preprocessor, type='mmpretrain.ClsDataPreprocessor')
    ours = MODELS.build(ConfigDict(mine))
    ours.student.load_state_dict(theirs.architecture.state_dict())
    for key, connector in ours.connectors.items():
        connector.load_state_dict(theirs.distiller.connectors[key].state_dict())
    for key, mapping in model.distiller.loss_forward_mappings.items():
        term = ours.terms[key.removeprefix('loss_')]
        used = [record.get('connector') for record in mapping.values() if not record['from_student']]
        if term.to_connector is not None and list(term.to_connector.parameters()):
            term.to_connector.load_state_dict(theirs.distiller.connectors[used[0]].state_dict())
    for layer in theirs.modules():  # what mmrazor means to do, and beside torch of today does not
        if hasattr(layer, 'inplace'):
            layer.inplace = False
    theirs.train()
    if kind == 'mmcls':  # mmcv's NMS is in float32
        theirs.double(), ours.double()
    return kind, theirs, ours.train()


@pytest.mark.parametrize('name', [pytest.param(n, marks=[pytest.mark.slow] * (n not in FAST)) for n in RUN])
def test_the_same_losses_as_mmrazors(tool, zoo, name):
    """Of two steps: the second also shows that the gradients of the first were the same."""
    kind, theirs, ours = both(tool, zoo, name)
    inputs, samples = data(kind, ours)
    learners = [theirs, ours]
    for model in learners:  # mmrazor's teacher draws boxes before the student does
        model.student.backbone.register_forward_pre_hook(lambda *_: torch.manual_seed(3) and None)
    optimizers = [torch.optim.SGD([p for p in m.parameters() if p.requires_grad], lr=1e-5) for m in learners]
    exact = dict(rtol=1e-7, atol=1e-10) if kind == 'mmcls' else dict(rtol=2e-4, atol=1e-6)
    for step in range(2):
        values = []
        for model, optimizer in zip(learners, optimizers):
            total, logged = model.parse_losses(model.loss(inputs, copy.deepcopy(samples)))
            optimizer.zero_grad()
            total.backward()
            optimizer.step()
            values.append({key.removeprefix('distill.'): value for key, value in logged.items()})
        assert values[1].keys() == values[0].keys() and len(values[0]) > 1
        for key, value in values[0].items():
            torch.testing.assert_close(values[1][key], value, **exact, msg=f'{key}, step {step}')
        if 'byot' in name:
            break  # mmrazor's L2 there also pulls the deepest features; here `to` is never pulled


def configs(zoo):
    """Names of mmrazor's distillation configs."""
    paths = (zoo / 'distill').rglob('*.py')
    return {str(path.relative_to(zoo / 'distill').with_suffix('')) for path in paths if path.parent.name != 'datasets'}


def test_the_guide_names_every_config(zoo):
    guide = (Path(__file__).resolve().parents[2] / 'docs/from_mmrazor.md').read_text()
    named = set(re.findall(r'^\| `(mm\w+/[\w./-]+)`', guide, re.M))
    assert named == configs(zoo) and set(RUN) < named
    for line in guide.splitlines():
        if name := re.match(r'\| `(mm\w+/[\w./-]+)`', line):
            assert ('| equal |' in line or '| equal at first |' in line) == (name[1] in RUN), line
    for method in re.findall(r'`(\w+\.py)`', guide):
        assert (Path(__file__).resolve().parents[2] / 'configs/_base_/methods' / method).exists(), method


def test_a_whole_config_is_translated(tool, zoo, tmp_path, capsys):
    """The command writes a config that says the same: data and schedule stay, hooks and validation are ours."""
    out = tmp_path / 'mine.py'
    assert tool.main([str(zoo / f'distill/{FAST[0]}.py'), str(out)]) == 0
    assert 'task, s4, s3, kl' in capsys.readouterr().out
    theirs, mine = Config.fromfile(zoo / f'distill/{FAST[0]}.py'), Config.fromfile(out)
    assert mine.train_dataloader == theirs.train_dataloader and mine.param_scheduler == theirs.param_scheduler
    assert 'type' not in mine.val_cfg and 'find_unused_parameters' not in mine
    assert mine.custom_hooks[0].type == 'shake_mm.MemberEvalHook'
    teacher = mine.model.teachers
    assert teacher.config == 'mmpretrain::resnet/resnet50_8xb32_in1k.py' and teacher.checkpoint == theirs.teacher_ckpt
    assert mine.model.terms.s4.of == 'connectors.loss_s4_sfeat'
    assert mine.model.terms.s4.to == 'teacher0.backbone.layer4.2.relu:each[2]'
    assert mine.model.connectors.loss_s4_sfeat.source == 'student.backbone.layer4.1.relu:each[1]'
    assert tool.main([str(zoo / f'distill/{FAST[0]}.py'), str(out)]) != 0  # nothing is overwritten


def model_with(**changes):
    """mmrazor's smallest distillation, with other parts."""
    record = dict(preds_S=dict(from_student=True, recorder='fc'), preds_T=dict(from_student=False, recorder='fc'))
    recorder = dict(type='ModuleOutputs', source='head.fc')
    distiller = dict(
        student_recorders=dict(fc=recorder, weight=dict(type='Parameter', source='head.fc.weight')),
        teacher_recorders=dict(fc=recorder),
        distill_losses=dict(loss_kl=dict(type='KLDivergence')),
        loss_forward_mappings=dict(loss_kl=record),
    )
    network = dict(cfg_path='mmpretrain::resnet/resnet18_8xb32_in1k.py', pretrained=False)
    base = dict(type='mmrazor.SingleTeacherDistill', architecture=network, teacher=network)
    return {**base, 'distiller': {**distiller, **changes.pop('distiller', {})}, **changes}


@pytest.mark.parametrize(
    ('changes', 'sentence'),
    [
        (dict(type='DataFreeDistillation'), 'DataFreeDistillation has no counterpart'),
        (dict(distiller=dict(distill_deliveries=dict(x=dict(type='MethodOutputs')))), 'distill_deliveries has no'),
        (
            dict(
                distiller=dict(
                    loss_forward_mappings=dict(loss_kl=dict(preds_S=dict(from_student=True, recorder='weight')))
                )
            ),
            'a recorder Parameter has no counterpart',
        ),
        (
            dict(
                distiller=dict(
                    connectors=dict(c=[dict(type='X')]),
                    loss_forward_mappings=dict(loss_kl=dict(p=dict(from_student=True, recorder='fc', connector='c'))),
                )
            ),
            'a connector that is a list has no counterpart',
        ),
    ],
)
def test_what_has_no_counterpart_is_named(tool, changes, sentence):
    with pytest.raises(UsageError, match=sentence):
        tool.translated_model(model_with(**changes))


def test_where_weights_come_from_and_who_learns(tool):
    """A former stage's checkpoint holds both networks; a stop of the distillation is a stage."""
    model = tool.translated_model(model_with(init_cfg=dict(type='Pretrained', checkpoint='a.pth')))
    assert model['teachers']['checkpoint'] == model['student']['checkpoint'] == 'a.pth'
    assert (model['teachers']['key'], model['student']['key']) == ('teacher', 'architecture')
    model = tool.translated_model(model_with(teacher_trainable=True, calculate_student_loss=False))
    assert model['teachers']['trainable'] and list(model['terms']) == ['teacher_task', 'kl']
    hooks = [dict(type='mmrazor.StopDistillHook', stop_epoch=20), dict(type='EMAHook')]
    whole = tool.translated(dict(model=model_with(), custom_hooks=hooks))
    assert whole['model']['stages'] == dict(distill=dict(until=20), main=dict(terms=['task'], train=['student']))
    assert whole['custom_hooks'][0]['type'] == 'EMAHook'
