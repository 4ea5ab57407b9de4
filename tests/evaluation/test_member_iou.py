"""Every member of a distilled segmentor, measured by its own prediction and by mmsegmentation's metric."""

import copy

import mmseg.models  # noqa: F401  (its parts are registered)
import pytest
import torch
from mmengine.registry import DefaultScope

from shake_mm.engine import MemberPredictions, MemberPredictor
from shake_mm.errors import UsageError
from shake_mm.evaluation import MemberIoUMetric

from ..support.segmentors import CLASSES, pictures, segmentor
from ..tasks.test_segmentation import build


@pytest.fixture(autouse=True)
def scope():
    with DefaultScope.overwrite_default_scope('mmseg'):
        yield


@pytest.mark.parametrize('mode', ['whole', 'slide'])
@pytest.mark.parametrize('source', ['student.feats', 'student.backbone'])
def test_every_member_is_measured_by_its_own_prediction(mode, source):
    """Also where a window slides over the image, and every layer runs several times."""
    student = segmentor(mode=mode)
    head = dict(head=dict(student.decode_head, _scope_='mmseg')) if source == 'student.backbone' else {}
    proxies = dict(type='ShadowHead', source=source, **head)
    model = build('SHAKE', student=student, teacher=segmentor(width=6, mode=mode), proxies=proxies).eval()
    images = dict(
        inputs=[torch.randint(256, (3, 64, 64), dtype=torch.uint8)] * 2, data_samples=pictures()['data_samples']
    )
    for sample in images['data_samples']:
        sample.set_metainfo(dict(ori_shape=(64, 64), img_shape=(64, 64)))
        del sample.gt_sem_seg.data
        sample.gt_sem_seg.data = torch.randint(CLASSES, (1, 64, 64))
        sample.gt_sem_seg.data[:, :5] = 255
    with torch.no_grad():
        samples = MemberPredictions(model).val_step(images)
    found = samples[1].member_samples
    assert list(found) == ['teacher0', 'proxy0']

    copied = copy.deepcopy(model.student)  # whose classifier, or head, is the shadow's
    if head:
        copied.decode_head.load_state_dict(model.proxies.proxy0.head.state_dict())
    else:
        copied.decode_head.conv_seg.load_state_dict(model.proxies.proxy0.head.state_dict())
    networks = {'teacher0': model.members.frozen['teacher0'].network, 'proxy0': copied, 'student': model.student}
    with torch.no_grad():
        plain = {
            name: network.test_step(copy.deepcopy(images))[1].seg_logits.data for name, network in networks.items()
        }
    torch.testing.assert_close(samples[1].seg_logits.data, plain['student'])
    for name in ('teacher0', 'proxy0'):
        torch.testing.assert_close(found[name].seg_logits.data, plain[name], rtol=1e-4, atol=1e-4)
    predicted = MemberPredictor(model, 'proxy0').val_step(copy.deepcopy(images))
    torch.testing.assert_close(predicted[1].seg_logits.data, plain['proxy0'])


def test_the_members_metric_is_mmsegs_own_and_the_gap_a_mean_over_pixels():
    from mmseg.evaluation import IoUMetric

    model = build('SHAKE').eval()
    data = pictures()
    data['inputs'], data['data_samples'] = (
        data['inputs'][:1] * 2,
        [copy.deepcopy(data['data_samples'][0]) for _ in 'ab'],
    )
    with torch.no_grad():
        samples = MemberPredictions(model).val_step(data)
    metric, plain = MemberIoUMetric(), IoUMetric()
    for each in (metric, plain):
        each.dataset_meta = dict(classes=tuple('abcde'))
    metric.process({}, [sample.to_dict() for sample in samples])
    found = metric.evaluate(2)
    assert {'teacher/mIoU', 'teacher/aAcc', 'teacher/mAcc', 'proxy/mIoU', 'gap/teacher', 'gap/proxy'} <= set(found)
    plain.process(
        {},
        [
            dict(
                pred_sem_seg=dict(data=s.member_samples['teacher0'].pred_sem_seg.data),
                gt_sem_seg=s.to_dict()['gt_sem_seg'],
            )
            for s in samples
        ],
    )
    wanted = plain.evaluate(2)
    assert all(found[f'teacher/{key}'] == pytest.approx(wanted[key], abs=0.006) for key in ('mIoU', 'aAcc', 'mAcc'))
    sample = samples[0]
    valid = sample.gt_sem_seg.data[0] != 255
    p, q = (
        x.data.double().softmax(0)[:, valid] for x in (sample.member_samples['teacher0'].seg_logits, sample.seg_logits)
    )
    assert found['gap/teacher'] == pytest.approx((p * (p / q).log()).sum(0).mean().item(), rel=1e-5)


def test_without_predictions_of_members_it_says_what_is_missing():
    metric = MemberIoUMetric()
    metric.dataset_meta = dict(classes=tuple('abcde'))
    with pytest.raises(UsageError, match="add dict.type='shake_mm.MemberEvalHook'"):
        metric.process({}, [dict(seg_logits=None)])
