"""Any model of mmengine: terms by layer names, logits that the config names, and what is refused of them."""

import json

import pytest
import torch
from mmengine.model import BaseModel
from mmengine.registry import MODELS as MMENGINE_MODELS
from mmengine.runner import Runner
from torch import nn

from shake_mm.errors import UsageError
from shake_mm.export import export_student
from shake_mm.registry import MODELS
from shake_mm.tasks import GenericTask

from ..support.detectors import lively
from ..support.own_model import TASK, own_model
from ..support.runs import run_config

HINT = dict(
    of='student.backbone',
    to='teacher0.backbone',
    connector=dict(type='ConvRegressor'),
    loss=dict(type='FitNetsLoss'),
)


def build(kind='KD', student=None, teacher=None, **options):
    """A distiller of a model of one's own."""
    options = {'task': TASK, **options}
    teacher = lively(own_model(6), 2) if teacher is None else teacher
    return MODELS.build(dict(type=f'shake_mm.{kind}', student=student or own_model(), teachers=teacher, **options))


def kl(a, b, tau=4.0):
    """Mean over the batch of the softened divergence of ``a`` from ``b``."""
    p, q = (b.double() / tau).softmax(1), (a.double() / tau).softmax(1)
    return tau**2 * (p * (p / q).log()).sum() / len(a)


def test_kd_is_the_models_own_loss_and_the_divergence_of_the_named_logits(batch):
    model = build(terms=dict(hint=HINT)).train()
    inputs, samples = batch()
    losses = model(inputs, samples, mode='loss')
    assert set(losses) == {'student.loss_cls', 'loss_student_from_teacher', 'loss_hint'}
    teacher = model.members.frozen['teacher0'].network
    logits = [network(inputs, None) for network in (model.student, teacher)]
    torch.testing.assert_close(losses['loss_student_from_teacher'].double(), kl(*logits), rtol=1e-4, atol=1e-6)
    sum(losses.values()).backward()
    assert all(p.grad is not None for name, p in model.student.named_parameters() if 'spare' not in name)
    assert all(p.grad is None for p in teacher.parameters())


def test_the_shadow_is_a_copy_of_the_named_layer_newly_initialized(batch):
    model = build('SHAKE').train()
    shadow = model.proxies.proxy0.head
    assert type(shadow) is nn.Linear and shadow.weight.shape == model.student.fc.weight.shape
    assert not torch.equal(shadow.weight, model.student.fc.weight)
    inputs, samples = batch()
    losses = model(inputs, samples, mode='loss')
    pooled = model.student.backbone(inputs).mean((2, 3))
    torch.testing.assert_close(
        losses['loss_student_from_proxy'].double(), kl(model.student.fc(pooled), shadow(pooled)), rtol=1e-4, atol=1e-6
    )


def test_a_divergence_without_a_temperature(batch):
    inputs, samples = batch()
    for options in (
        dict(divergence=dict(type='torch.nn.MSELoss')),
        dict(task={**TASK, 'divergence': dict(type='torch.nn.MSELoss')}),
    ):
        model = build(tau=2.0, **options)
        value = model(inputs, samples, mode='loss')['loss_student_from_teacher']
        teacher = model.members.frozen['teacher0'].network
        torch.testing.assert_close(value, (model.student(inputs, None) - teacher(inputs, None)).square().mean())


def test_the_temperature_of_the_task_counts(batch):
    task = {**TASK, 'divergence': dict(type='KLDivLoss', tau=2.0)}
    model = build(task=task)
    inputs, samples = batch()
    teacher = model.members.frozen['teacher0'].network
    value = model(inputs, samples, mode='loss')['loss_student_from_teacher']
    torch.testing.assert_close(
        value.double(), kl(model.student(inputs, None), teacher(inputs, None), 2.0), rtol=1e-4, atol=1e-6
    )


def test_networks_of_other_channels_are_fitted_to_each_other(batch):
    """The dry run takes the shape that the task is told."""
    student, teacher = own_model(channels=1), lively(own_model(6, channels=1))
    hint = dict(HINT, connector=dict(type='VIDRegressor'), loss=dict(type='VIDLoss'))
    model = build(student=student, teacher=teacher, terms=dict(hint=hint), task={**TASK, 'input_shape': (1, 8, 8)})
    assert model(batch()[0][:, :1], batch()[1], mode='loss')['loss_hint'].isfinite()


@MMENGINE_MODELS.register_module()
class Tuples(BaseModel):
    """As mmengine's first example: a batch is a tuple, and the pass gives several outputs."""

    def __init__(self, width=4):
        super().__init__()
        self.body, self.head = nn.Linear(6, width), Pair(width)

    def forward(self, inputs, labels=None, mode='tensor'):
        first, second = self.head(self.body(inputs))
        if mode == 'loss':
            return dict(loss=nn.functional.cross_entropy(first, labels) + second.square().mean())
        return first, second


class Pair(nn.Module):
    """A head of two outputs."""

    def __init__(self, width):
        super().__init__()
        self.classes, self.boxes = nn.Linear(width, 3), nn.Linear(width, 2)

    def forward(self, x):
        return self.classes(x), self.boxes(x)


def test_a_batch_that_is_no_image_and_an_element_of_a_heads_output():
    task = {**TASK, 'logits': 'head[0]'}
    model = build(student=dict(type='Tuples'), teacher=lively(dict(type='Tuples', width=5)), task=task)
    inputs, labels = torch.randn(4, 6), torch.tensor([0, 1, 2, 0])
    optim = type('Wrapper', (), {'update_params': staticmethod(lambda loss: loss.backward())})
    optim.optim_context = staticmethod(lambda model: torch.enable_grad())
    logged = model.train_step((inputs, labels), optim)
    teacher = model.members.frozen['teacher0'].network
    wanted = kl(model.student(inputs)[0], teacher(inputs)[0])
    torch.testing.assert_close(logged['loss_student_from_teacher'].double(), wanted, rtol=1e-4, atol=1e-6)
    task = GenericTask(**{key: value for key, value in task.items() if key != 'type'})
    assert [tuple(x.shape) for x in task.outputs(model.student, inputs)] == [(4, 3), (4, 2)]
    replaced = task.replaced(model.student.head, model.student(inputs), torch.zeros(4, 3))
    assert type(replaced) is tuple and not replaced[0].any() and replaced[1].shape == (4, 2)


REFUSED = {
    'logits that nobody named': (dict(task=None), 'which layer of a OwnModel makes its logits is not known'),
    'a divergence that nobody named': (dict(task=dict(TASK, divergence=None)), 'how logits of a OwnModel are compared'),
    'a layer that is not there': (
        dict(task=dict(TASK, logits='head')),
        "logits='head' names no layer of student: name another, such as backbone or",
    ),
    'a layer that does not run': (dict(task=dict(TASK, logits='spare')), "'student.logits' was produced 0 times"),
    'an element of a tensor': (dict(task=dict(TASK, logits='fc[1][2]')), 'asks for element'),
    'another number of classes': (dict(teacher=own_model(classes=7)), 'the same number of classes'),
    'features of other channels': (
        dict(terms=dict(x=dict(of='student.backbone', to='teacher0.backbone', loss=dict(type='FitNetsLoss')))),
        'give the term a `connector`',
    ),
    'an argument that is none': (dict(task=dict(TASK, logit='fc')), 'cannot be made of these arguments'),
    'no task': (dict(task='generic'), "task is 'generic', but it must be a config"),
    'a shape of two numbers': (dict(task=dict(TASK, input_shape=(8, 8))), 'must be channels, height and width'),
    'a divergence without a type': (dict(task=dict(TASK, divergence={})), 'a config with a `type`'),
    'a bare student': (dict(student=nn.Linear(2, 2)), 'student: a Linear is no model of mmengine'),
    'a bare teacher': (dict(teacher=nn.Linear(2, 2)), 'teacher0: a Linear is no model of mmengine'),
    'a shadow of an element': (
        dict(kind='SHAKE', task=dict(TASK, logits='head[0]'), student=dict(type='Tuples'), teacher=dict(type='Tuples')),
        'would be no layer that makes logits',
    ),
    'a shadow of a layer without weights': (dict(kind='SHAKE', task=dict(TASK, logits='backbone.2')), 'no layer'),
}


@pytest.mark.parametrize('case', REFUSED)
def test_refused_in_one_sentence(case):
    changes, words = dict(REFUSED[case][0]), REFUSED[case][1]
    if isinstance(changes.get('teacher'), dict):
        changes['teacher'] = lively(changes['teacher'])
    with pytest.raises(UsageError, match=words) as info:
        build(**changes)
    assert '\n' not in str(info.value) and str(info.value).endswith('.')


def test_an_export_that_no_input_fits_is_refused():
    model = MODELS.build(dict(type='Tuples'))
    with pytest.raises(UsageError, match=r'does not take an input of shape \(3, 8, 8\)'):
        GenericTask().outputs(model, torch.zeros(2, 3, 8, 8))


@pytest.fixture
def run(tmp_path):
    """A config of SHAKE with a model of one's own on digits, two epochs."""
    teacher = own_model(8, classes=100)
    torch.save({'state_dict': lively(teacher).state_dict()}, tmp_path / 'teacher.pth')
    model = dict(
        type='shake_mm.SHAKE',
        student=own_model(classes=100, data_preprocessor=dict(type='mmpretrain.ClsDataPreprocessor')),
        teachers=dict(
            config={**teacher, 'data_preprocessor': dict(type='mmpretrain.ClsDataPreprocessor')},
            checkpoint=str(tmp_path / 'teacher.pth'),
        ),
        task=TASK,
    )
    return lambda name, **changes: run_config(model, tmp_path / name, epochs=2, **changes)


def trained(config):
    """The last checkpoint's weights after a run."""
    runner = Runner.from_cfg(config)
    runner.train()
    return runner, torch.load(f'{runner.work_dir}/epoch_2.pth', weights_only=False)['state_dict']


def test_trains_resumes_evaluates_every_member_and_exports(run, tmp_path):
    randomness = dict(seed=0, deterministic=True)
    config = run('whole', randomness=randomness)
    runner, wanted = trained(config)
    lines = [json.loads(line) for line in next((tmp_path / 'whole').glob('*/vis_data/scalars.json')).open()]
    assert {'loss_proxy_from_teacher', 'student.loss_cls'} <= set(lines[0]) and 'accuracy/top1' in lines[-1]
    _, resumed = trained(run('whole', randomness=randomness, resume=True, load_from=f'{tmp_path}/whole/epoch_1.pth'))
    assert wanted.keys() == resumed.keys() and not any('teacher' in key for key in wanted)
    assert all(torch.equal(wanted[key], resumed[key]) for key in wanted)

    found = {}
    for member in ('student', 'teacher0', 'proxy0'):
        hook = dict(type='shake_mm.MemberEvalHook', member=member)
        tested = Runner.from_cfg(run(member, custom_hooks=[hook], load_from=f'{tmp_path}/whole/epoch_2.pth'))
        found[member] = tested.test()['accuracy/top1']
    assert found['student'] == runner.message_hub.get_scalar('val/accuracy/top1').current()

    checkpoint, plain = export_student(config, f'{tmp_path}/whole/epoch_2.pth', str(tmp_path / 'out'))
    student = MODELS.build(own_model(classes=100))
    student.load_state_dict(torch.load(checkpoint, weights_only=True)['state_dict'])
    inputs = torch.randn(2, 3, 16, 16)
    assert torch.equal(student.eval()(inputs, None), runner.model.student.eval()(inputs, None))
    assert 'GenericTask' not in plain.read_text()
