"""The student's parameters have the settings of a plain run, under every constructor of mmengine, mmpretrain, mmdet."""

import copy

import mmdet.engine.optimizers  # noqa: F401
import mmpretrain.engine.optimizers  # noqa: F401
import pytest
import torch
from mmengine.optim import DefaultOptimWrapperConstructor, build_optim_wrapper
from mmengine.registry import OPTIM_WRAPPER_CONSTRUCTORS

from shake_mm.checks import build_runner
from shake_mm.engine.optimizers import build_student_optimizer, settings_of
from shake_mm.errors import UsageError
from shake_mm.registry import MODELS

from ..support.runs import run_config

ADAMW = dict(type='AdamW', lr=0.01, weight_decay=0.05)
LAYERS = 'mmpretrain.LearningRateDecayOptimWrapperConstructor'
DECAY = 'mmdet.LearningRateDecayOptimizerConstructor'


def classifier(backbone, channels):
    return dict(
        type='ImageClassifier',
        backbone=backbone,
        neck=None if backbone['type'] == 'VisionTransformer' else dict(type='GlobalAveragePooling'),
        head=dict(
            type='VisionTransformerClsHead' if backbone['type'] == 'VisionTransformer' else 'LinearClsHead',
            num_classes=5,
            in_channels=channels,
        ),
        data_preprocessor=dict(type='ClsDataPreprocessor', num_classes=5),
    )


ARCH = dict(embed_dims=8, num_layers=3, num_heads=2, feedforward_channels=16)
VIT = classifier(dict(type='VisionTransformer', arch=ARCH, img_size=32, patch_size=16), 8)
CONVNEXT = classifier(
    dict(type='ConvNeXt', arch=dict(depths=[1, 1, 4, 1], channels=[4, 8, 12, 16]), gap_before_final_norm=False), 16
)
RESNET = classifier(dict(type='shake_mm.CRDResNet', depth=8, widths=(4, 4, 8, 8)), 8)


def mults(**keys):
    return dict(custom_keys=keys)


FROZEN = classifier(dict(type='ResNet', depth=18, base_channels=4, stem_channels=4, frozen_stages=1), 32)
CASES = {
    'frozen stages': (FROZEN, None, dict(norm_decay_mult=0)),
    'nothing': (RESNET, None, {}),
    'custom keys': (RESNET, None, mults(backbone=dict(lr_mult=0.1, decay_mult=0.5), **{'head.fc': dict(lr_mult=3)})),
    'a key that only a prefix would match': (RESNET, None, mults(**{'.backbone': dict(lr_mult=0.1)})),
    'a key with a dot': (VIT, None, mults(**{'.cls_token': dict(decay_mult=0.0), '.pos_embed': dict(decay_mult=0.0)})),
    'kinds of layers': (RESNET, None, dict(norm_decay_mult=0, bias_lr_mult=2, bias_decay_mult=0)),
    'layer decay': (VIT, LAYERS, dict(layer_decay_rate=0.5, norm_decay_mult=0, **mults(ln1=dict(decay_mult=0)))),
    'layers of ConvNeXt': (CONVNEXT, DECAY, dict(decay_rate=0.5, decay_type='layer_wise', num_layers=6)),
    'stages of ConvNeXt': (CONVNEXT, DECAY, dict(decay_rate=0.5, decay_type='stage_wise', num_layers=6)),
}  # fmt: skip


def optimizer_config(constructor, paramwise):
    config = dict(type='OptimWrapper', optimizer=ADAMW)
    return {**config, **(dict(constructor=constructor) if constructor else {}), 'paramwise_cfg': paramwise}


def distiller(student, **changes):
    teacher = MODELS.build(copy.deepcopy(student))
    config = dict(type='shake_mm.SHAKE', student=copy.deepcopy(student), teachers=dict(config=teacher), **changes)
    return MODELS.build(config)


def plain_settings(student, config):
    network = MODELS.build(copy.deepcopy(student))
    return settings_of(build_optim_wrapper(network, config), network)


@pytest.mark.parametrize('case', CASES)
def test_settings_are_those_of_a_plain_run(case):
    student, *rest = CASES[case]
    config, model = optimizer_config(*rest), distiller(student)
    wrapper = build_student_optimizer(model, config)
    mine, wanted = settings_of(wrapper, model.student), plain_settings(student, config)
    assert mine.keys() == wanted.keys() and all(mine[name] == wanted[name] for name in wanted)
    if case != 'nothing':
        assert len({(s['lr'], s['weight_decay']) for s in mine.values()}) > 1 or 'prefix' in case
    # What is not the student's is trained too, at full rate where layers decay, as a head is.
    proxies = settings_of(wrapper, model.proxies)
    assert proxies.keys() == dict(model.proxies.named_parameters()).keys()
    if 'ayer' in case and 'kinds' not in case:
        assert {s['lr'] for s in proxies.values()} == {0.01}


def test_who_asks_for_gradients_is_as_in_a_plain_run():
    plain, model = MODELS.build(copy.deepcopy(FROZEN)), distiller(FROZEN)
    wanted = {name: parameter.requires_grad for name, parameter in plain.named_parameters()}
    for network in (model.student, model.train().student):
        assert {name: parameter.requires_grad for name, parameter in network.named_parameters()} == wanted
    assert len({*wanted.values()}) == 2


def test_mmdets_own_constructor_would_not_do():
    """It reads ``startswith('backbone.')``: the stem would get the full rate."""
    student, *rest = CASES['layers of ConvNeXt']
    config, model = optimizer_config(*rest), distiller(student)
    naive = settings_of(build_optim_wrapper(model, config), model.student)
    wanted = plain_settings(student, config)
    stem = 'backbone.downsample_layers.0.0.weight'
    assert naive[stem]['lr'] == 128 * wanted[stem]['lr']


def test_keys_may_name_the_student():
    paramwise = mults(student=dict(lr_mult=0.5), **{'student.head': dict(lr_mult=2.0), 'proxies': dict(lr_mult=3.0)})
    model = distiller(RESNET)
    wrapper = build_student_optimizer(model, optimizer_config(None, paramwise))
    mine = settings_of(wrapper, model.student)
    assert mine['head.fc.weight']['lr'] == 0.02 and mine['backbone.conv1.weight']['lr'] == 0.005
    assert {s['lr'] for s in settings_of(wrapper, model.proxies).values()} == {0.03}


def test_the_order_of_parameters_stays(make_classifier):
    """Optimizers in checkpoints know parameters by their number."""
    model, config = distiller(RESNET), optimizer_config(None, dict(norm_decay_mult=0.0))
    groups = [build(model, config).optimizer.param_groups for build in (build_optim_wrapper, build_student_optimizer)]
    assert [[id(p) for p in g['params']] for g in groups[0]] == [[id(p) for p in g['params']] for g in groups[1]]
    assert [g['weight_decay'] for g in groups[0]] == [g['weight_decay'] for g in groups[1]]


def test_what_does_not_fit_the_student_is_a_sentence():
    with pytest.raises(UsageError, match='optim_wrapper.constructor: mmpretrain.LearningRate.* does not fit'):
        build_student_optimizer(distiller(RESNET), optimizer_config(LAYERS, dict(layer_decay_rate=0.5)))


@OPTIM_WRAPPER_CONSTRUCTORS.register_module()
class ByNumber(DefaultOptimWrapperConstructor):
    """A constructor of a user's own, which asks how many parameters there are."""

    def add_params(self, params, module, **kwargs):
        number = len(list(module.parameters()))
        params.extend(dict(params=[p], lr=self.base_lr / number) for p in module.parameters())


def test_a_constructor_that_cannot_be_helped_is_refused():
    with pytest.raises(UsageError, match=r'optim_wrapper: student\..* has lr=.* here and lr=.* in a plain run'):
        build_student_optimizer(distiller(RESNET), optimizer_config('ByNumber', dict(anything=1)))


def test_a_run_by_our_command_takes_it(tmp_path):
    student, *rest = CASES['layers of ConvNeXt']
    student = copy.deepcopy(student)
    student['head']['num_classes'] = student['data_preprocessor']['num_classes'] = 100
    model = dict(type='shake_mm.SHAKE', student=student, teachers=dict(config=MODELS.build(copy.deepcopy(student))))
    model['input_size'] = 32
    config = run_config(model, tmp_path, optim_wrapper=optimizer_config(*rest))
    for key in ('train_dataloader', 'val_dataloader'):
        config[key].dataset.image_size = 32
    runner = build_runner(config, 'train')
    runner.train()
    own = settings_of(runner.optim_wrapper, runner.model.student)
    wanted = plain_settings(student, optimizer_config(*rest))
    assert {name: s['lr_scale'] for name, s in own.items()} == {name: s['lr_scale'] for name, s in wanted.items()}
    assert all(torch.isfinite(parameter).all() for parameter in runner.model.parameters())
