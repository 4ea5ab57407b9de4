"""The dry run: shapes that the config leaves out, and terms that cannot work, found when the distiller is built."""

import copy

import pytest
import torch
from torch import nn

from shake_mm.engine.dry_run import evaluating, facts_of, on_meta, shape_of, try_out
from shake_mm.errors import UsageError
from shake_mm.registry import MODELS


@pytest.fixture
def build(make_classifier, trained):
    """Build a distiller of a 6-channel student and an 8-channel teacher with one more term."""
    teacher = make_classifier(8)
    checkpoint = trained(teacher)

    def build(student=None, **kwargs):
        teachers = dict(config=teacher, checkpoint=checkpoint)
        return MODELS.build(
            dict(type='shake_mm.Distiller', student=student or make_classifier(6), teachers=teachers, **kwargs)
        )

    return build


def test_channels_are_inferred(build, batch):
    hint = dict(of='student.f2', to='teacher0.f2', connector=dict(type='torch.nn.Conv2d', kernel_size=1))
    model = build(terms=dict(task=dict(of='student'), hint={**hint, 'loss': dict(type='FitNetsLoss')}))
    assert model.terms['hint'].connector.weight.shape == (8, 6, 1, 1)
    assert 'loss_hint' in model(*batch(), mode='loss')


def test_what_the_config_gives_is_kept(build):
    connector = dict(type='Embedding', out_channels=5)
    cc = dict(of='student.pool', to='teacher0.pool', connector=connector, to_connector=connector)
    model = build(terms=dict(cc={**cc, 'loss': dict(type='CCLoss')}))
    shapes = {name: tuple(p.shape) for name, p in model.terms.named_parameters()}
    assert [shape for name, shape in shapes.items() if name.endswith('weight')] == [(5, 6), (5, 8)]


def test_the_channels_of_the_target_reach_the_loss(build):
    vid = dict(of='student.f*', to='teacher0.f*', connector=dict(type='VIDRegressor'), loss=dict(type='VIDLoss'))
    model = build(terms=dict(vid=vid))
    assert list(model.terms) == ['vid_f1', 'vid_f2', 'vid_f3']
    assert all(term.loss.rho.shape == (8,) for term in model.terms.values())


def test_shared_connectors_are_taps(build, batch):
    connectors = dict(
        narrow=dict(type='torch.nn.Conv2d', out_channels=3, kernel_size=1, source='teacher0.f3'),
        pooled=dict(type='torch.nn.AdaptiveAvgPool2d', output_size=1, source='connectors.narrow'),
    )
    terms = dict(
        task=dict(of='student'),
        same=dict(
            of='student.f3',
            to='connectors.narrow',
            connector=dict(type='torch.nn.Conv2d', kernel_size=1),
            loss=dict(type='torch.nn.MSELoss'),
        ),
        shrink=dict(of='connectors.pooled', to='connectors.pooled', loss=dict(type='torch.nn.L1Loss')),
    )
    model = build(terms=terms, connectors=connectors)
    assert model.connectors['narrow'].weight.shape == (3, 8, 1, 1)
    assert model.terms['same'].connector.weight.shape == (3, 6, 1, 1)
    calls = []
    model.connectors['narrow'].register_forward_hook(lambda *args: calls.append(1))
    losses = model.train()(*batch(), mode='loss')
    assert set(losses) == {'student.loss', 'loss_same', 'loss_shrink'} and calls == [1]
    losses['loss_same'].backward()
    assert model.connectors['narrow'].weight.grad is None  # as a target it is detached


def test_connectors_that_no_term_of_the_stage_reads_do_not_run(build, batch):
    connectors = dict(narrow=dict(type='torch.nn.Conv2d', out_channels=8, kernel_size=1, source='student.f3'))
    terms = dict(
        task=dict(of='student'), x=dict(of='connectors.narrow', to='teacher0.f3', loss=dict(type='torch.nn.MSELoss'))
    )
    stages = [dict(until=1, terms=['x']), dict(terms=['task'], train=['student'])]
    model = build(terms=terms, connectors=connectors, stages=stages)
    calls = []
    model.connectors['narrow'].register_forward_hook(lambda *args: calls.append('connector'))
    model.members.frozen['teacher0'].network.register_forward_hook(lambda *args: calls.append('teacher'))
    model.student.head.register_forward_hook(lambda *args: calls.append('student'))
    model.enter_stage(0)
    model(*batch(), mode='loss')
    model.enter_stage(1)
    model(*batch(), mode='loss')
    assert calls == ['teacher', 'student', 'connector', 'student']


def test_building_changes_nothing(build, make_classifier):
    student = MODELS.build(copy.deepcopy(make_classifier(6)))
    before = copy.deepcopy(student.state_dict())
    model = build(student, terms=dict(kd=dict(of='student.logits', to='teacher0.logits', loss=dict(type='KLDivLoss'))))
    assert all(torch.equal(value, before[key]) for key, value in model.student.state_dict().items())
    assert all(layer.training for layer in model.student.modules())
    assert not model.taps._computed and all(not recorder.values for recorder in model.taps._recorders.values())


def test_networks_that_look_at_values_are_left_to_the_step(build, make_classifier, batch):
    student = MODELS.build(copy.deepcopy(make_classifier(6)))

    class Picky(nn.Module):
        def forward(self, x):
            return x if bool(x.sum() == x.sum()) else None

    student.backbone.layer3.append(Picky())
    kd = dict(of='student.logits', to='teacher0.logits', loss=dict(type='KLDivLoss'))
    assert 'loss_kd' in build(student, terms=dict(kd=kd))(*batch(), mode='loss')
    hint = dict(of='student.f3', to='teacher0.f3', connector=dict(type='ConvRegressor'), loss=dict(type='FitNetsLoss'))
    with pytest.raises(UsageError, match='terms.hint.connector: ConvRegressor needs `in_shape`, which is not known'):
        build(student, terms=dict(hint=hint))
    # what the network does before that layer is known all the same
    build(student, terms=dict(hint={**hint, 'of': 'student.f2', 'to': 'teacher0.f2'}))


def test_layers_that_stand_in_two_places_keep_their_weights():
    layer = nn.Linear(4, 4)
    network = nn.Sequential(layer, nn.BatchNorm1d(4), layer, nn.Linear(4, 4))
    network[3].weight = layer.weight  # one weight of two layers
    before = {name: tensor.clone() for name, tensor in network.state_dict().items()}
    assert on_meta(network, torch.empty(2, 4, device='meta')).is_meta
    assert all(torch.equal(before[name], tensor) for name, tensor in network.state_dict().items())
    assert network[0] is network[2] and network[3].weight is layer.weight


@pytest.mark.parametrize(
    'term, words',
    [
        (dict(of='student.f2', to='teacher0.f2', loss=dict(type='FitNetsLoss')), r'terms.x: .*6.*8'),
        (dict(of='student.f2', to='teacher0.pool', loss=dict(type='ATLoss')), 'terms.x: '),
        (dict(of='student.f2', to='teacher0.f2', loss=dict(type='torch.nn.MSELoss')), 'terms.x: MSELoss does not take'),
        (
            dict(
                of='student.f2',
                to='teacher0.f2',
                connector=dict(type='torch.nn.Conv2d', in_channels=7, out_channels=8, kernel_size=1),
                loss=dict(type='FitNetsLoss'),
            ),
            'terms.x.connector: Conv2d does not take',
        ),
        (
            dict(of='student.pool', to='teacher0.pool', loss=dict(type='CRDLoss')),
            'CRDLoss needs `num_samples`, .* set `model.num_samples`',
        ),
        (dict(of='student.f9', to='teacher0.f2', loss=dict(type='FitNetsLoss')), "tap 'student.f9' names no layer"),
        (dict(of='student.f*', to='teacher0.f*'), "give a 'loss' too"),
    ],
)
def test_terms_that_cannot_work_are_refused(build, term, words):
    with pytest.raises(UsageError, match=words):
        build(terms=dict(task=dict(of='student'), x=term))


def test_a_connector_needs_a_source(build):
    with pytest.raises(UsageError, match="connectors.a: 'source' is missing"):
        build(connectors=dict(a=dict(type='torch.nn.ReLU')))


def test_members_may_name_their_stages(build, make_classifier):
    plain = dict(type='ResNet_CIFAR', depth=18, stem_channels=8, base_channels=8)
    student = {
        **make_classifier(6),
        'backbone': plain,
        'head': dict(type='LinearClsHead', num_classes=5, in_channels=64),
    }
    terms = dict(at=dict(of='student.f*', to='teacher0.f*', loss=dict(type='ATLoss')))
    with pytest.raises(UsageError, match='4 of student.f[*] and 3 of teacher0.f[*]'):  # mmpretrain's own res_layers
        build(copy.deepcopy(student), terms=terms)
    taps = dict(f2='backbone.layer3', f3='backbone.layer4', f4='backbone.layer4')
    at = dict(of='student.f2', to='teacher0.fm', loss=dict(type='ATLoss'))
    model = build(dict(config=student, taps=taps), terms=dict(at=at))
    assert model.taps.layers('student.f2') == ['student.backbone.layer3']
    assert model.taps.layers('teacher0.fm') == ['teacher0.backbone.layer3']


def test_shapes_and_facts():
    x, y = torch.empty(2, 3, 4, 5, device='meta'), torch.empty(2, 7, device='meta')
    assert shape_of(x) == (3, 4, 5) and shape_of([x, y]) == [(3, 4, 5), (7,)] and shape_of(None) is None
    facts = facts_of(x, [y, y], 9)
    assert facts['in_channels'] == facts['in_features'] == 3 and facts['in_shape'] == (3, 4, 5)
    assert facts['out_channels'] == facts['num_channels'] == [7, 7] and facts['num_samples'] == 9
    assert facts_of(x, None, None)['out_shape'] is None


def test_evaluating_restores_every_mode():
    net = nn.Sequential(nn.Dropout(), nn.Sequential(nn.Dropout()))
    net[1].eval()
    with evaluating(net):
        assert not any(layer.training for layer in net.modules())
    assert [layer.training for layer in net.modules()] == [True, True, False, False]


def test_batch_norm_is_not_updated():
    norm = nn.BatchNorm1d(3)
    assert on_meta(norm, torch.empty(2, 3, device='meta')).device.type == 'meta'
    assert norm.num_batches_tracked.item() == 0 and norm.training


def test_losses_that_look_at_values_pass():
    class Loss(nn.Module):
        def forward(self, a, b):
            return a.sum() if a.sum().item() > 0 else b.sum()

    assert try_out('terms.x', Loss(), torch.empty(2, device='meta'), torch.empty(2, device='meta')) is None
