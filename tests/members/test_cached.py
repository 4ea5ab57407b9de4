"""A teacher whose logits are looked up, against the network itself."""

import copy

import numpy as np
import pytest
import torch

from shake_mm.datasets import BatchedViews
from shake_mm.datasets.images import Images
from shake_mm.errors import UsageError
from shake_mm.members.cached import BLOCK
from shake_mm.registry import DATASETS, MODELS
from tests.conftest import classifier

STUDENT = classifier(6, 100)
CIFAR = dict(crop_size=32, padding=4, flip_prob=0.5)
# The teacher's own rounding moves with the batch; float16 keeps 11 bits.
HALF = dict(rtol=2**-10, atol=1e-4)


@pytest.fixture(scope='module')
def dataset():
    sources = DATASETS.build(dict(type='shake_mm.DigitPairs', num_samples=6, image_size=32, pipeline=[]))
    return BatchedViews(sources, **CIFAR)


@pytest.fixture
def build(make_classifier, trained, tmp_path):
    """A distiller of teachers that normalize in another way than the student, with caches or without."""

    def build(cached=True, teachers=1, kind='shake_mm.SHAKE', **changes):
        student = make_classifier(6, 100, mean=[60.0] * 3, std=[75.0] * 3)
        network = make_classifier(8, 100, mean=[50.0, 60.0, 70.0], std=[80.0, 90.0, 99.0])
        specs = [
            dict(
                config=network,
                checkpoint=trained(network, f't{i}.pth', seed=i + 1),
                **(dict(cache=str(tmp_path / f'cache{i}')) if cached else {}),
            )
            for i in range(teachers)
        ]
        torch.manual_seed(0)
        model = MODELS.build(dict(type=kind, student=student, teachers=specs, **changes))
        model.init_weights()
        return model.train()

    return build


def opened(model, dataset):
    for member in model.members.cached:
        member.open(Images(dataset))
    return model


def passes(member):
    """Sizes of the batches that the network itself gets from now on."""
    seen = []
    member.network.backbone.register_forward_pre_hook(lambda module, args: seen.append(len(args[0])))
    return seen


def step(model, batch, lr=0.1):
    """Losses and the weights after one step of SGD, from the model's state."""
    model = copy.deepcopy(model)
    data = model.data_preprocessor(dict(batch, data_samples=list(batch['data_samples'])), True)
    losses = model(**data, mode='loss')
    sum(losses.values()).backward()
    with torch.no_grad():
        for parameter in model.parameters():
            parameter -= lr * parameter.grad
    return losses, torch.cat([parameter.flatten() for parameter in model.parameters()])


def test_all_views_equal_the_live_logits(build, dataset):
    model, live = opened(build(), dataset), build(cached=False)
    member, network = model.members.cached[0], live.members.frozen['teacher0']
    seen = passes(member)
    for view in range(162):
        batch = model.data_preprocessor(dataset.batch([0, 3, 5], [view] * 3), True)
        wanted = network(batch['inputs'])
        first = member(batch['inputs'], batch['data_samples']).logits
        again = member(batch['inputs'], batch['data_samples']).logits
        torch.testing.assert_close(first, wanted, **HALF)
        assert torch.equal(first, again)  # a hit and a miss give the same
    assert set(seen) == {BLOCK} and len(seen) == 163  # the second pass of the first view is the check


@pytest.mark.parametrize(
    ('kind', 'teachers', 'changes'),
    [('shake_mm.KD', 1, {}), ('shake_mm.SHAKE', 2, dict(weighting='aekd')), ('shake_mm.SHAKE', 1, {})],
)
def test_a_step_equals_the_live_one_from_many_states(build, dataset, kind, teachers, changes):
    model = opened(build(True, teachers, kind, **changes), dataset)
    live = build(False, teachers, kind, **changes)
    rng = np.random.default_rng(0)
    for state in range(100 // teachers):
        torch.manual_seed(state)
        for parameter in model.parameters():
            parameter.data.add_(0.1 * torch.randn_like(parameter))
        live.load_state_dict(model.state_dict())
        batch = dataset.batch(rng.integers(6, size=4).tolist(), rng.integers(162, size=4).tolist())
        got, want = step(model, batch), step(live, batch)
        assert got[0].keys() == want[0].keys()
        for name, value in want[0].items():
            torch.testing.assert_close(got[0][name], value, rtol=5e-3, atol=1e-4)
        before = torch.cat([parameter.detach().flatten() for parameter in live.parameters()])
        assert 0 < (got[1] - want[1]).norm() < 2**-9 * (want[1] - before).norm()


def test_the_network_does_not_run_for_what_is_there(build, dataset):
    model = opened(build(), dataset)
    seen = passes(model.members.cached[0])
    for views in ([1, 2, 3], [1, 2, 9], [1, 2, 3], [9, 2, 3], [9, 2, 9]):
        model(**model.data_preprocessor(dataset.batch([0, 1, 2], views), True), mode='loss')
    assert seen == [BLOCK] * 4  # the first batch, one more and the check, nothing, one more, nothing
    twin = copy.deepcopy(model)
    assert twin.members.cached[0].cache is model.members.cached[0].cache


def test_evaluation_runs_the_network(build, dataset):
    from shake_mm.engine import MemberEvaluation

    model = build().eval()
    seen = passes(model.members.cached[0])
    batch = dataset.batch([0, 1], [0, 0])
    samples = MemberEvaluation(model, {}, 'val').val_step(batch)
    wanted = model.members.frozen['teacher0'](model.data_preprocessor(dataset.batch([0, 1], [0, 0]))['inputs'])
    torch.testing.assert_close(samples[1].member_logits['teacher0'], wanted[1])
    assert seen == [2, 2]


def test_what_is_not_of_these_images_is_found(build, dataset):
    model = opened(build(), dataset)
    member = model.members.cached[0]
    batch = model.data_preprocessor(dataset.batch([0, 1], [5, 6]), True)
    member.cache.write(np.array([1]), np.array([6]), np.ones((1, 100), np.float16))
    with pytest.raises(UsageError, match='not of these images.*Mixup'):
        member(batch['inputs'], batch['data_samples'])


def test_a_cache_of_other_weights_or_images_is_refused(build, dataset, trained, make_classifier, tmp_path):
    opened(build(), dataset)
    other = DATASETS.build(dict(type='shake_mm.DigitPairs', num_samples=6, image_size=32, seed=1, pipeline=[]))
    with pytest.raises(UsageError, match='the images changed'):
        opened(build(), BatchedViews(other, **CIFAR))
    with pytest.raises(UsageError, match='the crops and flips changed'):
        opened(build(), BatchedViews(dataset.dataset, **{**CIFAR, 'flip_prob': 0.0}))
    model = build()
    model.members.cached[0].network.head.fc.bias.data[7] += 1e-3
    with pytest.raises(UsageError, match='its weights changed'):
        opened(model, dataset)


def test_logits_do_not_depend_on_what_else_is_computed(build, dataset):
    """Alone, in batches of any size and place, beside other images, and with mixed precision around them."""
    member = build().members.cached[0]
    inputs = torch.randn(3 * BLOCK, 3, 32, 32, generator=torch.Generator().manual_seed(0))
    whole = member.compute(inputs)
    for size in (1, 2, 3, 7, BLOCK, BLOCK + 1, 2 * BLOCK):
        parts = [member.compute(part) for part in inputs.split(size)]
        np.testing.assert_array_equal(np.concatenate(parts), whole)
    order = torch.randperm(len(inputs))
    np.testing.assert_array_equal(member.compute(inputs[order]), whole[order.numpy()])
    with torch.autocast('cpu', torch.bfloat16):
        np.testing.assert_array_equal(member.compute(inputs), whole)


def test_other_code_with_the_same_weights_and_layers_is_refused(dataset, tmp_path):
    """Transformers whose heads differ in number alone: no weight has another shape, and none is named."""

    def open_with(heads):
        arch = dict(embed_dims=32, num_layers=1, num_heads=heads, feedforward_channels=32)
        torch.manual_seed(0)
        network = dict(
            type='mmpretrain.ImageClassifier',
            backbone=dict(type='mmpretrain.VisionTransformer', arch=arch, img_size=32, patch_size=16),
            head=dict(type='mmpretrain.VisionTransformerClsHead', num_classes=100, in_channels=32),
        )
        network = MODELS.build(network)
        network.init_weights()
        with torch.no_grad():  # attention that attends
            network.backbone.layers[0].attn.qkv.weight.mul_(20)
            network.head.layers.head.weight.normal_()
        student = copy.deepcopy(STUDENT)
        spec = dict(config=network, cache=str(tmp_path / 'cache'))
        return opened(MODELS.build(dict(type='shake_mm.KD', student=student, teachers=[spec])), dataset)

    open_with(4)
    open_with(4)
    with pytest.raises(UsageError, match='the code of its forward pass makes of the same weights changed'):
        open_with(2)


def test_a_damaged_row_is_computed_again(build, dataset, tmp_path):
    """Beyond the rows that are compared, an Inf too, which was never ours."""
    model = opened(build(), dataset)
    images, views = np.arange(3).repeat(BLOCK), np.tile(np.arange(BLOCK), 3)
    batch = model.data_preprocessor(dataset.batch(images.tolist(), views.tolist()), True)
    member = model.members.cached[0]
    wanted = member(batch['inputs'], batch['data_samples']).logits
    member.cache.flush()
    for value in (0x3C00, 0x7C00 ^ 0x7E00):  # another number, Inf
        rows = np.memmap(tmp_path / 'cache0' / 'logits.f16', np.uint16, 'r+', shape=(6, 162, 102))
        rows[2, BLOCK - 1, 50] = value
        rows.flush()
        assert torch.equal(member(batch['inputs'], batch['data_samples']).logits, wanted)
        assert not member.cache.missing(slice(0, 3))[:, :BLOCK].any()


def test_how_often_views_are_mirrored_does_not_count(build, dataset):
    images, views = [0, 1], [5, 100]
    logits = []
    for data in (dataset, BatchedViews(dataset.dataset, **{**CIFAR, 'flip_prob': 0.1})):
        model = opened(build(), data)
        member = model.members.cached[0]
        assert member.cache.missing(slice(0, 2))[[0, 1], views].all() != bool(logits)
        batch = model.data_preprocessor(data.batch(images, views), True)
        logits.append(member(batch['inputs'], batch['data_samples']).logits)
        member.cache.flush()
    assert torch.equal(*logits)


def test_it_is_in_no_checkpoint(build):
    model, live = build(), build(cached=False)
    assert model.state_dict().keys() == live.state_dict().keys()


def test_it_needs_the_hook_and_the_views(build, dataset, batch):
    model = build()
    data = model.data_preprocessor(dataset.batch([0], [0]), True)
    with pytest.raises(UsageError, match='TeacherCacheHook'):
        model(**data, mode='loss')
    opened(model, dataset)
    with pytest.raises(UsageError, match='meta_keys'):
        model(*batch(2), mode='loss')


@pytest.mark.parametrize(
    ('changes', 'words'),
    [
        (dict(terms=dict(at=dict(of='student.f2', to='teacher0.f2', loss=dict(type='ATLoss')))), 'teacher0.f2 is read'),
        (dict(proxies=dict(type='TeacherFusion')), 'teacher0.f1 is read'),
    ],
)
def test_features_are_no_logits(build, changes, words):
    with pytest.raises(UsageError, match=f'{words}.*leave out its `cache`'):
        build(**changes)


def test_mixed_images_have_no_cache(build, make_classifier):
    student = make_classifier(6, 100)
    student['data_preprocessor']['batch_augments'] = dict(augments=[dict(type='mmpretrain.Mixup', alpha=1.0)])
    spec = build().members.specs['teacher0']
    teacher = dict(config=spec.config, checkpoint=spec.checkpoint, cache='x')
    with pytest.raises(UsageError, match='mixed images'):
        MODELS.build(dict(type='shake_mm.KD', student=student, teachers=[teacher]))


def test_images_behind_a_pipeline(dataset):
    settings = dict(type='shake_mm.DigitPairs', num_samples=6, image_size=32)
    view, pack = dict(type='shake_mm.RandomView', **CIFAR), dict(type='PackInputs')
    wrapped = DATASETS.build(
        dict(type='shake_mm.SeededDataset', dataset=dict(settings, pipeline=[view, pack], _scope_='mmpretrain'))
    )
    images = Images(wrapped)
    assert len(images) == 6 and len(images.views) == 162
    for one, other in zip(images, Images(dataset), strict=True):
        np.testing.assert_array_equal(one, other)
    for pipeline, words in (
        ([pack], 'needs to know the views'),
        ([view, dict(type='mmpretrain.RandomErasing'), pack], 'a RandomErasing too'),
        ([dict(type='mmpretrain.RandomFlip', prob=0.5), view, pack], 'a RandomFlip too'),
    ):
        with pytest.raises(UsageError, match=words):
            Images(DATASETS.build(dict(settings, pipeline=pipeline)))


@pytest.mark.parametrize(
    'changes',
    [
        dict(proxies=dict(type='ShadowNetwork')),
        dict(proxies=dict(type='ShadowSubnet')),
        dict(terms=dict(dkd=dict(of='student.logits', to='teacher0.logits', loss=dict(type='DKDLoss')))),
    ],
)
def test_other_forms_that_read_logits_alone(build, dataset, changes):
    model, live = opened(build(**changes), dataset), build(False, **changes)
    live.load_state_dict(model.state_dict())
    batch = dataset.batch([0, 3, 5, 1], [7, 100, 161, 2])
    got, want = step(model, batch)[0], step(live, batch)[0]
    assert got.keys() == want.keys()
    for name, value in want.items():
        torch.testing.assert_close(got[name], value, rtol=5e-3, atol=1e-4)
