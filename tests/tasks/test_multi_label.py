"""Networks that find any number of classes: real runs, whose metrics are computed anew without the package."""

import copy
import json

import mmcv
import numpy as np
import pytest
import torch

from shake_mm.checks import build_runner
from shake_mm.errors import UsageError
from shake_mm.registry import MODELS
from tests.conftest import classifier
from tests.support.runs import run_config

CLASSES = 4
AVERAGE = dict(type='AveragePrecision')


def multi_label(channels, onehot=False, classes=CLASSES):
    config = classifier(channels, classes=classes, to_onehot=onehot, mean=[127.0] * 3, std=[74.0] * 3)
    config['head']['type'] = 'MultiLabelLinearClsHead'
    return config


@pytest.fixture
def data(tmp_path):
    """Pictures of none, one or two classes, and the data set that reads them."""
    generator, rows = np.random.default_rng(0), []
    for i in range(24):
        path = str(tmp_path / f'{i}.png')
        mmcv.imwrite(generator.integers(0, 255, (16, 16, 3), dtype=np.uint8), path)
        labels = sorted(generator.choice(CLASSES, size=i % 3, replace=False).tolist())
        rows.append(dict(img_path=path, gt_label=labels))
    file = tmp_path / 'labels.json'
    file.write_text(json.dumps(dict(metainfo=dict(classes=list('abcd')), data_list=rows)))
    pipeline = [dict(type='LoadImageFromFile'), dict(type='PackInputs')]
    dataset = dict(type='MultiLabelDataset', data_root='', ann_file=str(file), pipeline=pipeline)
    truth = torch.zeros(len(rows), CLASSES)
    for i, row in enumerate(rows):
        truth[i, row['gt_label']] = 1
    return dataset, truth


def config_of(model, dataset, tmp_path, **changes):
    loader = dict(batch_size=8, num_workers=0, collate_fn=dict(type='default_collate'), dataset=dataset)
    loaders = {
        'train_dataloader': {**loader, 'sampler': dict(type='DefaultSampler', shuffle=True)},
        'val_dataloader': {**loader, 'sampler': dict(type='DefaultSampler', shuffle=False)},
    }
    changes = {'val_evaluator': AVERAGE, 'test_dataloader': None, 'test_evaluator': None, 'test_cfg': None} | changes
    return run_config(model, tmp_path / 'work', **copy.deepcopy(loaders), **changes)


def average_precision(scores, truth):
    """Of one class: the mean precision at the places of its positives in the ranking."""
    ranked = truth[np.argsort(-scores, kind='stable')]
    precision = np.cumsum(ranked) / np.arange(1, len(ranked) + 1)
    return (precision * ranked).sum() / ranked.sum()


def mean_average_precision(logits, truth):
    return 100 * np.mean([average_precision(logits[:, k].numpy(), truth[:, k].numpy()) for k in range(CLASSES)])


def bernoulli(p, q):
    p, q = p.double().numpy(), q.double().numpy()

    def log(x, sign):  # of the probability of yes and of no
        return -np.logaddexp(0, -sign * x)

    divergence = [np.exp(log(p, sign)) * (log(p, sign) - log(q, sign)) for sign in (1, -1)]
    return sum(divergence).sum(1).mean()


@pytest.mark.parametrize('onehot', [False, True])
def test_the_plain_network_passes_the_checks_and_trains(data, tmp_path, onehot):
    cfg = config_of(multi_label(6, onehot), data[0], tmp_path, custom_hooks=[], val_cfg=None)
    cfg.val_dataloader = cfg.val_evaluator = None  # mmpretrain's metric takes no sample without labels
    cfg.train_dataloader.dataset.indices = [1, 2, 4, 5, 7, 8, 10, 11] if onehot else None
    runner = build_runner(cfg, 'train')
    runner.train()
    assert runner.iter == (1 if onehot else 3)


def test_shake_measures_its_members_by_precision_and_by_the_gap_of_each_class(data, tmp_path, trained):
    dataset, truth = data
    teacher = multi_label(8)
    checkpoint = trained(teacher)
    weights = torch.load(checkpoint, weights_only=True)
    weights['state_dict']['head.fc.weight'] *= 0.1  # probabilities of 1 would be ties
    torch.save(weights, checkpoint)
    model = dict(type='shake_mm.SHAKE', student=multi_label(6), teachers=dict(config=teacher, checkpoint=checkpoint))
    labeled = [i for i in range(len(truth)) if truth[i].any()]
    runner = build_runner(config_of(model, {**dataset, 'indices': labeled}, tmp_path), 'train')
    assert type(runner.model.terms['student_from_proxy'].loss).__name__ == 'BernoulliKLLoss'
    runner.train()
    metrics = runner.val_loop.run()
    model, logits = runner.model.eval(), {'student': [], 'proxy': [], 'teacher': []}
    with torch.no_grad():
        for batch in runner.val_dataloader:
            inputs = model.data_preprocessor(batch, False)['inputs']
            feats = model.student.extract_feat(inputs)
            logits['student'].append(model.student.head(feats))
            logits['proxy'].append(model.proxies['proxy0'].head(feats))
            logits['teacher'].append(model.members.frozen['teacher0'].network(inputs, mode='tensor'))
    logits, truth = {name: torch.cat(rows) for name, rows in logits.items()}, truth[labeled]
    expected = {f'{name}/mAP': mean_average_precision(rows, truth) for name, rows in logits.items()}
    expected['ensemble/mAP'] = mean_average_precision(logits['student'].sigmoid() + logits['proxy'].sigmoid(), truth)
    for name in ('teacher', 'proxy'):
        expected[f'gap/{name}'] = bernoulli(logits[name], logits['student'])
    expected['multi-label/mAP'] = expected['student/mAP']
    assert metrics == pytest.approx(expected, rel=1e-4)


def test_samples_without_labels_are_evaluated_by_one_hot_scores(data, tmp_path):
    student = multi_label(6)
    model = dict(type='shake_mm.Baseline', student=student, teachers=MODELS.build(multi_label(8)))
    cfg = config_of(model, data[0], tmp_path, val_evaluator=dict(type='shake_mm.MemberMetric'))
    runner = build_runner(cfg, 'train')
    runner.train()
    assert set(runner.val_loop.run()) == {'student/mAP', 'teacher/mAP', 'gap/teacher'}


def test_a_softmax_is_refused_for_several_classes(data, tmp_path):
    cfg = config_of(classifier(6, classes=CLASSES), data[0], tmp_path, custom_hooks=[])
    with pytest.raises(UsageError, match='a sample has 0 classes, and a LinearClsHead predicts one: give the network'):
        build_runner(cfg, 'train')


def test_a_softmax_teaches_no_sigmoids():
    with pytest.raises(UsageError, match='teacher0 predicts by a softmax and the student by a sigmoid'):
        MODELS.build(
            dict(type='shake_mm.KD', student=multi_label(6), teachers=MODELS.build(classifier(8, classes=CLASSES)))
        )


def test_losses_of_one_class_a_sample_are_refused_for_several():
    from mmpretrain.structures import DataSample

    from shake_mm.tasks import ClassificationTask

    samples = [DataSample().set_gt_label([0, 1]), DataSample().set_gt_label([2])]
    with pytest.raises(UsageError, match='these have several, or none: give it their scores'):
        ClassificationTask().batch_field(samples, 'gt_labels')
    for sample in samples:
        sample.set_gt_score(torch.ones(CLASSES))
    assert ClassificationTask().batch_field(samples, 'label').shape == (2, CLASSES)
