"""A teacher's view is what its own pipeline and preprocessor would have made of the same images, padding included."""

import numpy as np
import pytest
import torch
from mmcv.transforms import Normalize
from mmdet.structures import DetDataSample
from mmpretrain.structures import DataSample

from shake_mm.errors import UsageError
from shake_mm.members import TeacherView, normalization_before
from shake_mm.registry import MODELS

OURS = dict(mean=[120.0, 110.0, 100.0], std=[50.0, 60.0, 70.0])
THEIRS = dict(mean=[10.0, 20.0, 30.0], std=[4.0, 5.0, 6.0])
STEP = dict(type='Normalize', mean=[90.0, 80.0, 70.0], std=[9.0, 8.0, 7.0], to_rgb=True)
PLAIN = dict(type='Normalize', mean=[5.0, 6.0, 7.0], std=[2.0, 3.0, 4.0], to_rgb=False)


def preprocessor(kind='mmpretrain.ClsDataPreprocessor', **config):
    return MODELS.build(dict(type=kind, **config))


def images(*sizes):
    generator = torch.Generator().manual_seed(0)
    return [torch.randint(256, (3, *size), generator=generator, dtype=torch.uint8) for size in sizes]


class TestPadding:
    SIZES = ((24, 32), (32, 20), (32, 32))

    def batches(self, ours, theirs, kind='mmdet.DetDataPreprocessor', sample=DetDataSample):
        """What both preprocessors make of the same images, and the samples."""
        made = []
        for config in (ours, theirs):
            samples = [sample(metainfo=dict(img_shape=size)) for size in self.SIZES]
            made.append(preprocessor(kind, **config)(dict(inputs=images(*self.SIZES), data_samples=samples)))
        parts = [preprocessor(kind, **config) for config in (ours, theirs)]
        return parts, made[0]['inputs'], made[1]['inputs'], made[0]['data_samples']

    @pytest.mark.parametrize('divisor', [1, 16])
    @pytest.mark.parametrize('theirs', [THEIRS, OURS, {**THEIRS, 'bgr_to_rgb': True}])
    def test_a_detectors_padding_is_its_own(self, divisor, theirs):
        parts, mine, wanted, samples = self.batches(
            dict(pad_size_divisor=divisor, pad_value=7, **OURS), dict(pad_size_divisor=divisor, pad_value=114, **theirs)
        )
        before = mine.clone()
        torch.testing.assert_close(TeacherView(*parts)(mine, samples), wanted, rtol=1e-4, atol=1e-3)
        assert torch.equal(mine, before)

    def test_a_classifiers_padding_is_its_own(self):
        parts, mine, wanted, samples = self.batches(
            dict(pad_size_divisor=16, pad_value=7, **OURS),
            dict(pad_size_divisor=16, pad_value=-3, **THEIRS),
            kind='mmpretrain.ClsDataPreprocessor',
            sample=DataSample,
        )
        view = TeacherView(*parts, pads=False)
        torch.testing.assert_close(view(mine, samples), wanted, rtol=1e-4, atol=1e-3)

    def test_an_old_img_shape_of_a_classifier_is_not_believed(self):
        """Of pictures that were read at these sizes and cropped to 16 pixels since."""
        parts = [preprocessor(**OURS), preprocessor(**THEIRS)]
        pictures = torch.stack(images((16, 16), (16, 16)))
        for sizes in [(500, 300), (300, 500)], [(12, 12), (10, 14)]:
            samples = [DataSample(metainfo=dict(img_shape=size)) for size in sizes]
            seen = TeacherView(*parts, pads=False)(parts[0](dict(inputs=pictures))['inputs'], samples)
            torch.testing.assert_close(seen, parts[1](dict(inputs=pictures))['inputs'], rtol=1e-4, atol=1e-3)

    def test_equal_padding_passes_the_same_tensor(self):
        parts, mine, _, samples = self.batches(dict(pad_value=7, **OURS), dict(pad_value=7, **OURS))
        assert TeacherView(*parts)(mine, samples) is mine


def seen(pipeline, part, picture):
    """A picture (H, W, 3) after the Normalize steps of a pipeline and a preprocessor, as mmcv and mmpretrain do it."""
    results = dict(img=picture.astype(np.float32))
    for step in pipeline:
        results = Normalize(**{key: value for key, value in step.items() if key != 'type'})(results)
    return part(dict(inputs=torch.from_numpy(results['img']).permute(2, 0, 1)[None]))['inputs']


class TestPipelines:
    picture = np.random.default_rng(0).integers(0, 256, (4, 5, 3))

    def parts(self, ours, theirs):
        return [preprocessor(**config) for config in (ours, theirs)]

    @pytest.mark.parametrize('theirs', [{}, THEIRS, {**THEIRS, 'to_rgb': True}])
    @pytest.mark.parametrize('ours', [{}, OURS, {**OURS, 'to_rgb': True}])
    @pytest.mark.parametrize('their_steps', [[], [STEP], [PLAIN], [STEP, PLAIN]])
    @pytest.mark.parametrize('our_steps', [[], [STEP], [PLAIN]])
    def test_whichever_normalizes_a_teacher_sees_its_own(self, our_steps, their_steps, ours, theirs):
        parts = self.parts(ours, theirs)
        view = TeacherView(*parts)
        view.fit(*(normalization_before(dict(pipeline=steps), '') for steps in (our_steps, their_steps)))
        wanted = seen(their_steps, parts[1], self.picture)
        # What was scaled down twice has lost digits.
        torch.testing.assert_close(view(seen(our_steps, parts[0], self.picture)), wanted, rtol=1e-3, atol=2e-2)

    def test_a_teacher_without_a_known_pipeline(self):
        """Where its preprocessor normalizes, nothing came before; else the run's pipeline stands for its own."""
        run = normalization_before(dict(pipeline=[PLAIN]), '')
        for theirs, steps in ({}, [PLAIN]), (THEIRS, []):
            parts = self.parts({}, theirs)
            view = TeacherView(*parts)
            view.fit(run)
            wanted = seen(steps, parts[1], self.picture)
            torch.testing.assert_close(view(seen([PLAIN], parts[0], self.picture)), wanted, rtol=1e-3, atol=1e-2)

    def test_equal_pipelines_pass_the_same_tensor(self):
        view, run = TeacherView(*self.parts({}, {})), normalization_before(dict(pipeline=[STEP]), '')
        view.fit(run, run)
        inputs = torch.randn(2, 3, 4, 4)
        assert view(inputs) is inputs


class TestReading:
    def test_transforms_of_torchvision(self):
        pipeline = [
            dict(type='NumpyToPIL', to_rgb=True),
            dict(type='mmpretrain.torchvision/ToTensor'),
            dict(type='torchvision/Normalize', mean=[0.5, 0.4, 0.3], std=[0.2, 0.2, 0.2]),
            dict(type='PackInputs'),
        ]
        found = normalization_before(dict(pipeline=pipeline), '')
        pixel = torch.tensor([30.0, 20.0, 10.0]).view(3, 1, 1)
        wanted = (pixel.flip(0) / 255 - torch.tensor([0.5, 0.4, 0.3]).view(3, 1, 1)) / 0.2
        assert found.rgb
        torch.testing.assert_close((pixel.flip(0) - found.mean) / found.std, wanted)

    def test_wrapped_data_sets(self):
        inner = dict(type='A', pipeline=[STEP])
        for dataset in (
            dict(type='RepeatDataset', dataset=inner),
            dict(type='ConcatDataset', datasets=[inner, inner]),
            dict(type='MultiImageMixDataset', dataset=inner, pipeline=[dict(type='Mosaic')]),
            dict(
                type='MultiImageMixDataset', dataset=dict(type='A', pipeline=[]), pipeline=[dict(STEP, type=Normalize)]
            ),
        ):
            found = normalization_before(dataset, '')
            assert found.mean.flatten().tolist() == STEP['mean'] and found.rgb

    def test_nothing_to_read(self):
        assert normalization_before(dict(type='A'), '') is None and normalization_before(object(), '') is None
        assert normalization_before(dict(pipeline=[dict(type='PackInputs')]), '').is_identity

    @pytest.mark.parametrize(
        'dataset, words',
        [
            (
                dict(pipeline=[dict(type='Albu', transforms=[dict(type='Normalize', mean=0)])]),
                'd: Albu holds Normalize',
            ),
            (dict(pipeline=[dict(type='RandomChoice', transforms=[[STEP], []])]), 'd: RandomChoice holds Normalize'),
            (dict(datasets=[dict(pipeline=[STEP]), dict(pipeline=[])]), 'd: its pipelines normalize .* different ways'),
        ],
    )
    def test_what_cannot_be_followed_is_refused(self, dataset, words):
        with pytest.raises(UsageError, match=words):
            normalization_before(dataset, 'd')
