"""Tiny runs of every method, at exact draws: configs of the joint batch, which the ranks divide among themselves."""

import copy

import torch
from mmengine.config import Config, ConfigDict
from mmengine.dataset import DefaultSampler
from mmengine.registry import DATA_SAMPLERS, DefaultScope

from shake_mm.compat import configs_dir
from shake_mm.registry import MODELS
from shake_mm.switches import make_batched, make_cached, make_exact

from ..conftest import classifier
from ..support.detectors import lively
from ..support.runs import run_config
from . import deaths, matrix

MODULES = [__name__, deaths.__name__, matrix.__name__]
BATCH, EPOCHS = 16, 2
SAMPLES, UNEVEN = 32, 27
EMBEDDING = dict(type='Embedding', out_channels=8, normalize=True)
CRD = dict(
    of='student.pool',
    to='teacher0.pool',
    connector=EMBEDDING,
    to_connector=EMBEDDING,
    loss=dict(type='CRDLoss', dim=8),
)
RKD = dict(of='student.pool', to='teacher0.pool', loss=dict(type='RKDLoss'))

# Name: whether BatchNorm is in it, number of teachers, what the model has beside student and teachers.
CLASSIFIERS = {
    'kd': (False, 1, dict(type='shake_mm.KD')),
    'shake-two': (False, 2, dict(type='shake_mm.SHAKE')),
    'shake-aekd': (False, 2, dict(type='shake_mm.SHAKE', weighting='aekd')),
    'shake-cached': (False, 2, dict(type='shake_mm.SHAKE')),
    'dml': (False, 1, dict(type='shake_mm.DML')),
    'crd': (False, 1, dict(type='shake_mm.Distiller', terms=dict(task=dict(of='student'), crd=CRD))),
    'crd-uneven': (False, 1, dict(type='shake_mm.Distiller', terms=dict(task=dict(of='student'), crd=CRD))),
    'rkd': (False, 1, dict(type='shake_mm.Distiller', terms=dict(task=dict(of='student'), rkd=RKD))),
    'kd-bn': (True, 1, dict(type='shake_mm.KD')),
    'shake-two-bn': (True, 2, dict(type='shake_mm.SHAKE')),
    'shake-fusion': (True, 1, dict(type='shake_mm.SHAKE', proxies=dict(type='TeacherFusion'))),
    'shake-sbn': (True, 1, dict(type='shake_mm.SHAKE', proxies=dict(type='ShadowSubnet'))),
    'dml-bn': (True, 1, dict(type='shake_mm.DML')),
    'crd-bn': (True, 1, dict(type='shake_mm.Distiller', terms=dict(task=dict(of='student'), crd=CRD))),
}
DETECTORS = {'shake-faster-rcnn': 'faster-rcnn', 'shake-retinanet': 'retinanet'}
JOINT = ('kd', 'shake-two', 'shake-aekd', 'shake-cached', 'dml', 'crd', 'crd-uneven')
"""Methods whose job equals one process with the joint batch: without BatchNorm and statistics of pairs of samples."""
LOCAL = tuple(name for name in (*CLASSIFIERS, *DETECTORS) if name not in JOINT)
"""Those that equal one process that emulates the job's: its batches, its statistics, its random numbers."""


@DATA_SAMPLERS.register_module()
class PaddedSampler(DefaultSampler):
    """The order of a set that is repeated from its start up to a multiple, as a job of several processes pads it."""

    def __init__(self, *args, multiple, **kwargs):
        super().__init__(*args, **kwargs)
        self.num_samples = self.total_size = -(-len(self.dataset) // multiple) * multiple


def network(batch_norm, width):
    """A classifier; without BatchNorm, each sample is on its own."""
    if batch_norm:
        return copy.deepcopy(classifier(width, classes=100))
    body = dict(
        type='ResNet',
        depth=18,
        num_stages=2,
        strides=(1, 2),
        dilations=(1, 1),
        out_indices=(1,),
        stem_channels=width,
        base_channels=width,
        norm_cfg=dict(type='GN', num_groups=2),
    )
    head = dict(type='LinearClsHead', num_classes=100, in_channels=2 * width)
    return {**copy.deepcopy(classifier(width, classes=100)), 'backbone': body, 'head': head}


def prepare(name, folder):
    """Write the config of a method and the weights of its teachers; return the config's path."""
    cfg = _detector(name, folder) if name in DETECTORS else _classifier(name, folder)
    cfg.val_cfg = cfg.val_dataloader = cfg.val_evaluator = None
    cfg.test_cfg = cfg.test_dataloader = cfg.test_evaluator = None
    cfg.custom_hooks = [dict(type='shake_mm.StageHook'), dict(type='shake_mm.FiniteGuardHook')]
    cfg.default_hooks = dict(logger=dict(type='LoggerHook', interval=1), checkpoint=None)
    cfg.update(
        experiment_name=name,
        work_dir=str(folder / 'run' / name),
        log_level='WARNING',
        randomness=dict(seed=3),
        param_scheduler=None,
    )
    cfg.runner_type = 'Runner' if name == 'shake-faster-rcnn' else 'DoubleRunner'  # mmcv's NMS knows float32 alone
    cfg.custom_imports = dict(imports=MODULES)
    if name == 'shake-cached':
        make_batched(cfg)
        make_cached(cfg, str(folder / 'cache'))
    make_exact(cfg)
    cfg.train_dataloader.persistent_workers = False
    cfg.dump(folder / f'{name}.py')
    return folder / f'{name}.py'


def _classifier(name, folder):
    batch_norm, teachers, model = CLASSIFIERS[name]
    samples = UNEVEN if name.endswith('uneven') else SAMPLES
    model = copy.deepcopy(model)
    model['student'] = network(batch_norm, 4)
    if model['type'] == 'shake_mm.DML':
        model['teachers'] = network(batch_norm, 6)
    else:
        model['teachers'] = [
            dict(config=network(batch_norm, 6), checkpoint=str(_weights(network(batch_norm, 6), folder, seed)))
            for seed in range(1, teachers + 1)
        ]
    crd = 'crd' in model.get('terms', ())
    if crd:
        model['num_samples'] = samples
    cfg = run_config(model, folder, epochs=EPOCHS, samples=samples)
    cfg.optim_wrapper = dict(optimizer=dict(type='SGD', lr=0.05, momentum=0.9, weight_decay=5e-4))
    cfg.train_dataloader.batch_size = BATCH
    crop = dict(type='RandomCrop', crop_size=16, padding=2)
    cfg.train_dataloader.dataset.pipeline.insert(0, crop)
    cfg.train_dataloader.dataset.serialize_data = False  # it begins with a search for garbage that takes half the time
    if crd:
        inner = cfg.train_dataloader.dataset
        cfg.train_dataloader.dataset = dict(type='shake_mm.ContrastDataset', dataset=inner, negatives=10)
    return cfg


def _detector(name, folder):
    net = DETECTORS[name]
    teacher = Config.fromfile(f'{configs_dir()}/baseline/{net}_r18-w32_digit-scenes.py')
    weights = lively(ConfigDict(_scope_='mmdet', **teacher.model), 3)
    torch.save({'state_dict': weights.state_dict()}, folder / f'{net}.pth')
    cfg = Config.fromfile(f'{configs_dir()}/shake/shake_{net}-r18-w32_{net}-r18-w8_digit-scenes.py')
    cfg.model.teachers[0].checkpoint = str(folder / f'{net}.pth')
    cfg.train_dataloader.dataset.update(num_images=4, serialize_data=False, data_root=str(folder / 'scenes'))
    cfg.train_dataloader.batch_size = 4
    cfg.train_cfg = dict(by_epoch=True, max_epochs=EPOCHS)
    return cfg


def _weights(config, folder, seed):
    """Of a teacher: other for every seed, far from the initial ones, with statistics that normalize."""
    path = folder / f'{config["backbone"]["type"]}_{seed}.pth'
    if not path.exists():
        torch.manual_seed(seed)
        with DefaultScope.overwrite_default_scope('mmpretrain'):
            model = MODELS.build(copy.deepcopy(config))
        model.init_weights()
        for parameter in model.parameters():
            parameter.data.add_(0.3 * torch.randn_like(parameter))
        torch.save({'state_dict': model.state_dict()}, path)
    return path
