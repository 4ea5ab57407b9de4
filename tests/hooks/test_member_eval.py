"""Evaluation of all members, in real runs, against a computation without the engine."""

import copy

import pytest
import torch

from shake_mm.engine import Distiller

from ..support.runs import run_config, train


@pytest.fixture
def shakes(make_classifier, trained):
    teacher = make_classifier(8, classes=100)
    paths = [trained(teacher, f't{i}.pth', seed=i + 1) for i in range(2)]

    def config(number=1):
        teachers = [dict(config=copy.deepcopy(teacher), checkpoint=path) for path in paths[:number]]
        return dict(type='shake_mm.SHAKE', student=make_classifier(6, classes=100), teachers=teachers)

    return config


def logits_of(runner):
    """Labels and logits on the validation set, computed from the members themselves."""
    model = runner.model.eval()
    student, proxies, teachers, labels = [], [[] for _ in model.proxies], [[] for _ in model.members.frozen], []
    with torch.no_grad():
        for data in runner.val_dataloader:
            data = model.data_preprocessor(data, False)
            feats = model.student.extract_feat(data['inputs'])
            student.append(model.student.head(feats))
            for i, proxy in enumerate(model.proxies.values()):
                proxies[i].append(proxy.head(feats))
            for i, member in enumerate(model.members.frozen.values()):
                teachers[i].append(member.network(data['inputs'], mode='tensor'))
            labels += [int(s.gt_label) for s in data['data_samples']]
    return torch.cat(student), [torch.cat(p) for p in proxies], [torch.cat(t) for t in teachers], torch.tensor(labels)


def kl(p_logits, q_logits):
    p, q = p_logits.double().softmax(1), q_logits.double().softmax(1)
    return float((torch.xlogy(p, p) - torch.xlogy(p, q)).sum(1).mean())


def top1(scores, labels):
    return 100 * float((scores.argmax(1) == labels).float().mean())


def test_one_teacher(shakes, tmp_path):
    runner = train(shakes(), tmp_path)
    metrics = runner.val_loop.run()
    student, (proxy,), (teacher,), labels = logits_of(runner)
    expected = {
        'accuracy/top1': top1(student, labels),
        'student/top1': top1(student, labels),
        'proxy/top1': top1(proxy, labels),
        'teacher/top1': top1(teacher, labels),
        'ensemble/top1': top1(student.softmax(1) + proxy.softmax(1), labels),
        'gap/teacher': kl(teacher, student),
        'gap/proxy': kl(proxy, student),
    }
    assert metrics == pytest.approx(expected, rel=1e-4, abs=1e-4)
    assert metrics['gap/teacher'] != pytest.approx(kl(student, teacher), rel=1e-3)  # the direction matters


def test_two_teachers(shakes, tmp_path):
    runner = train(shakes(2), tmp_path)
    metrics = runner.val_loop.run()
    student, proxies, teachers, labels = logits_of(runner)
    gaps = [kl(t, student) for t in teachers]
    assert metrics['gap/teacher0'] == pytest.approx(gaps[0], rel=1e-4)
    assert metrics['gap/teacher1'] == pytest.approx(gaps[1], rel=1e-4)
    assert metrics['gap/teacher'] == pytest.approx(sum(gaps) / 2, rel=1e-4)
    assert metrics['proxy1/top1'] == pytest.approx(top1(proxies[1], labels), abs=1e-4)
    assert 'proxy/top1' not in metrics
    ensemble = student.softmax(1) + sum(p.softmax(1) for p in proxies)
    assert metrics['ensemble/top1'] == pytest.approx(top1(ensemble, labels), abs=1e-4)


def test_the_teacher_is_evaluated_once_a_run(shakes, tmp_path):
    from mmengine.runner import Runner

    runner = Runner.from_cfg(run_config(shakes(), tmp_path, epochs=3))
    calls = []
    runner.model.members.frozen['teacher0'].network.backbone.register_forward_hook(
        lambda *a: calls.append(torch.is_grad_enabled())
    )
    runner.train()
    training, evaluation = 3 * 4, 2  # 64 images in batches of 16; 24 in batches of 16, once
    assert len(calls) == training + evaluation and not any(calls)
    assert isinstance(runner.model, Distiller)


def test_save_best_and_ema(shakes, tmp_path):
    hooks = [
        dict(type='shake_mm.MemberEvalHook'),
        dict(type='shake_mm.FiniteGuardHook'),
        dict(type='EMAHook', ema_type='ExponentialMovingAverage', momentum=0.5),
    ]
    default = dict(checkpoint=dict(type='CheckpointHook', interval=1, save_best='student/top1', rule='greater'))
    runner = train(shakes(), tmp_path, epochs=2, custom_hooks=hooks, default_hooks=default)
    checkpoint = torch.load(tmp_path / 'epoch_2.pth', weights_only=True)
    assert not any('teacher' in key for part in ('state_dict', 'ema_state_dict') for key in checkpoint[part])
    assert list(tmp_path.glob('best_student_top1_epoch_*.pth'))
    # The averaged weights are what the checkpoint's state_dict holds, the raw ones are what training goes on with.
    key = 'student.head.fc.weight'
    assert not torch.equal(checkpoint['state_dict'][key], runner.model.state_dict()[key])
    torch.testing.assert_close(checkpoint['ema_state_dict'][f'module.{key}'], runner.model.state_dict()[key])


def test_the_tools_evaluate_too(shakes, tmp_path):
    from mmengine.runner import Runner

    runner = train(shakes(), tmp_path)
    trained = runner.val_loop.run()
    again = Runner.from_cfg(run_config(shakes(), tmp_path, load_from=str(tmp_path / 'epoch_1.pth')))
    assert again.test() == pytest.approx(trained, rel=1e-5)


def test_the_metric_asks_for_its_hook(shakes, tmp_path):
    from shake_mm.errors import UsageError

    evaluator = [dict(type='Accuracy', topk=(1,)), dict(type='shake_mm.MemberMetric')]
    with pytest.raises(UsageError, match='MemberEvalHook'):
        train(shakes(), tmp_path, custom_hooks=[], val_evaluator=evaluator)
