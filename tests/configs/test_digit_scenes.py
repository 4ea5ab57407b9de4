"""The plain mmdet configs on drawn digits: they build, step, evaluate, and fit together as teacher and student."""

from pathlib import Path

import pytest
import torch
from mmdet.registry import DATASETS, MODELS
from mmengine.config import Config
from mmengine.dataset import pseudo_collate
from mmengine.registry import EVALUATOR, DefaultScope, build_from_cfg

CONFIGS = Path(__file__).parents[2] / 'configs'
DETECTORS = ('retinanet', 'faster-rcnn', 'gfl')
MEMBERS = ('r18-w32', 'r18-w8')


@pytest.fixture(autouse=True)
def scope():
    with DefaultScope.overwrite_default_scope('mmdet'):
        yield


def load(detector, member, folder):
    cfg = Config.fromfile(CONFIGS / f'baseline/{detector}_{member}_digit-scenes.py')
    for loader in (cfg.train_dataloader, cfg.val_dataloader, cfg.test_dataloader):
        loader.dataset.num_images = 4
        loader.dataset.data_root = str(folder)
    return cfg


@pytest.mark.parametrize('member', MEMBERS)
@pytest.mark.parametrize('detector', DETECTORS)
def test_trains_one_step_and_evaluates(detector, member, tmp_path):
    cfg = load(detector, member, tmp_path)
    assert cfg.default_scope == 'mmdet' and cfg.auto_scale_lr.base_batch_size == cfg.train_dataloader.batch_size
    # After a step nothing is sure of anything, and CocoMetric reports nothing where nothing is detected.
    cfg.model.test_cfg.get('rcnn', cfg.model.test_cfg).score_thr = 0
    model = MODELS.build(cfg.model)
    model.init_weights()
    before = {name: parameter.detach().clone() for name, parameter in model.named_parameters()}
    dataset = DATASETS.build(cfg.train_dataloader.dataset)
    batch = model.data_preprocessor(pseudo_collate([dataset[i] for i in range(4)]), training=True)
    loss, _ = model.parse_losses(model(**batch, mode='loss'))
    assert torch.isfinite(loss) and loss > 0
    loss.backward()
    torch.optim.SGD(model.parameters(), 0.1).step()
    # No stage is frozen. (Inside a residual branch the first gradient is zero, as its last BatchNorm starts at zero.)
    assert all(parameter.grad is not None for parameter in model.backbone.parameters())
    moved = {name for name, value in model.named_parameters() if not torch.equal(before[name], value)}
    assert {'backbone.conv1.weight', 'backbone.bn1.weight', 'neck.fpn_convs.0.conv.weight'} <= moved

    evaluator = build_from_cfg(dict(type='Evaluator', metrics=cfg.val_evaluator), EVALUATOR)
    dataset = DATASETS.build(cfg.val_dataloader.dataset)
    evaluator.dataset_meta = dataset.metainfo
    batch = pseudo_collate([dataset[i] for i in range(4)])
    with torch.no_grad():
        evaluator.process(model.eval().test_step(batch), batch)
    assert 0 <= evaluator.evaluate(4)['coco/bbox_mAP'] <= 1


@pytest.mark.parametrize('detector', DETECTORS)
def test_teacher_and_student_agree_on_places_and_classes(detector, tmp_path):
    teacher, student = (MODELS.build(load(detector, member, tmp_path).model) for member in MEMBERS)
    assert parameters(teacher) > 8 * parameters(student)
    inputs = torch.rand(2, 3, 96, 96)
    with torch.no_grad():
        maps = [model.eval().extract_feat(inputs) for model in (teacher, student)]
    sizes, others = ([tuple(level.shape[2:]) for level in levels] for levels in maps)
    assert sizes == others == [(24, 24), (12, 12), (6, 6)]
    heads = [model.rpn_head if detector == 'faster-rcnn' else model.bbox_head for model in (teacher, student)]
    generators = [head.prior_generator for head in heads]
    for one, two in zip(*(generator.grid_priors(sizes, device='cpu') for generator in generators)):
        assert torch.equal(one, two)
    if detector == 'faster-rcnn':
        heads = [model.roi_head.bbox_head for model in (teacher, student)]
    assert heads[0].num_classes == heads[1].num_classes == 10


def parameters(model):
    return sum(parameter.numel() for parameter in model.parameters())
