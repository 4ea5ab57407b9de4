"""How members are named in configs, loaded, and shown the student's view."""

import pickle

import pytest
import torch

from shake_mm.errors import UsageError
from shake_mm.members import MemberSpec, TeacherView, load_strictly, read_weights
from shake_mm.registry import MODELS


class TestSpec:
    def test_model_dict(self, make_classifier):
        spec = MemberSpec.parse('student', make_classifier())
        assert spec.config['type'] == 'ImageClassifier' and spec.checkpoint is None

    def test_config_file_brings_scope_and_preprocessor(self, tmp_path):
        path = tmp_path / 'c.py'
        path.write_text("default_scope = 'mmpretrain'\nmodel = dict(type='X')\ndata_preprocessor = dict(mean=[1.0])\n")
        spec = MemberSpec.parse('teacher0', dict(config=str(path), checkpoint='a.pth', resize=8))
        assert spec.config == dict(type='X', _scope_='mmpretrain', data_preprocessor=dict(mean=[1.0]))
        assert spec.checkpoint == 'a.pth' and spec.resize == (8, 8) and not spec.trainable

    @pytest.mark.parametrize(
        'source', ['mmpretrain::resnet/resnet18_8xb16_cifar10.py', 'shake_mm::baseline/resnet20_cifar100.py']
    )
    def test_config_of_a_package(self, source):
        assert MemberSpec.parse('student', source).config['type'] == 'ImageClassifier'

    @pytest.mark.parametrize(
        'spec, words',
        [
            (dict(checkpoint='x'), 'give a config file'),
            (3, 'give a config file'),
            (dict(config=dict(type='X'), checkpiont='x'), 'did you mean checkpoint'),
            ('/no/such/file.py', 'cannot be read'),
        ],
    )
    def test_refused(self, spec, words):
        with pytest.raises(UsageError, match=words):
            MemberSpec.parse('teacher0', spec)

    def test_a_file_without_model(self, tmp_path):
        (tmp_path / 'c.py').write_text('a = 1\n')
        with pytest.raises(UsageError, match='has no `model`'):
            MemberSpec.parse('student', str(tmp_path / 'c.py'))


class TestCheckpoint:
    @pytest.mark.parametrize('wrap', [lambda s: s, lambda s: {'state_dict': s}, lambda s: {'model': s, 'epoch': 3}])
    @pytest.mark.parametrize('prefix', ['', 'module.', 'student.'])
    def test_layouts(self, tmp_path, wrap, prefix):
        state = {f'{prefix}a.weight': torch.ones(2)}
        torch.save(wrap(state), tmp_path / 'x.pth')
        assert list(read_weights(str(tmp_path / 'x.pth'))) == ['a.weight']

    def test_missing(self):
        with pytest.raises(UsageError, match='teacher0.*does not exist'):
            read_weights('/no/such.pth', 'teacher0')

    def test_truncated(self, tmp_path):
        torch.save({'state_dict': {'a': torch.zeros(1000)}}, tmp_path / 'x.pth')
        data = (tmp_path / 'x.pth').read_bytes()
        (tmp_path / 'x.pth').write_bytes(data[: len(data) // 2])
        with pytest.raises(UsageError, match='truncated'):
            read_weights(str(tmp_path / 'x.pth'))

    @pytest.mark.parametrize('content', [b'', b'not a checkpoint'])
    def test_something_else(self, tmp_path, content):
        (tmp_path / 'x.pth').write_bytes(content)
        with pytest.raises(UsageError, match='cannot be read'):
            read_weights(str(tmp_path / 'x.pth'))

    def test_no_weights_inside(self, tmp_path):
        torch.save({'epoch': 3}, tmp_path / 'x.pth')
        with pytest.raises(UsageError, match='holds no state dict'):
            read_weights(str(tmp_path / 'x.pth'))

    def test_code_is_refused_and_not_run(self, tmp_path):
        class Evil:
            def __reduce__(self):
                return (open, (str(tmp_path / 'ran'), 'w'))

        with open(tmp_path / 'x.pth', 'wb') as file:
            pickle.dump({'state_dict': Evil()}, file)
        torch.save({'state_dict': Evil()}, tmp_path / 'y.pth')
        for name in ('x.pth', 'y.pth'):
            with pytest.raises(UsageError, match='cannot be read'):
                read_weights(str(tmp_path / name))
        assert not (tmp_path / 'ran').exists()

    def test_another_architecture_names_keys_and_changes_nothing(self, make_classifier, trained):
        model = MODELS.build(make_classifier(6))
        before = {k: v.clone() for k, v in model.state_dict().items()}
        path = trained(make_classifier(8))
        with pytest.raises(UsageError, match='shape differs backbone.conv1.weight') as error:
            load_strictly(model, read_weights(path), 'teacher0', path)
        assert '\n' not in str(error.value)
        assert all(torch.equal(v, before[k]) for k, v in model.state_dict().items())

    def test_class_counts_show_in_the_error(self, make_classifier, trained):
        path = trained(make_classifier(6, classes=7))
        with pytest.raises(UsageError, match=r'head.fc.weight \(\(7, 6\) in the file, \(5, 6\) in the model\)'):
            load_strictly(MODELS.build(make_classifier(6)), read_weights(path), 'teacher0', path)


class TestView:
    def preprocessors(self, student, teacher):
        return tuple(
            MODELS.build(dict(type='mmpretrain.ClsDataPreprocessor', **kwargs)) for kwargs in (student, teacher)
        )

    @pytest.mark.parametrize(
        'student, teacher',
        [
            (
                dict(mean=[1.0, 2, 3], std=[4.0, 5, 6], to_rgb=True),
                dict(mean=[7.0, 8, 9], std=[3.0, 2, 1], to_rgb=False),
            ),
            (
                dict(mean=[1.0, 2, 3], std=[4.0, 5, 6], to_rgb=False),
                dict(mean=[7.0, 8, 9], std=[3.0, 2, 1], to_rgb=True),
            ),
            (dict(mean=[1.0, 2, 3], std=[4.0, 5, 6]), dict()),
            (dict(), dict(mean=[7.0, 8, 9], std=[3.0, 2, 1], to_rgb=True)),
        ],
    )
    def test_equals_the_teachers_own_preprocessing(self, student, teacher):
        ours, theirs = self.preprocessors(student, teacher)
        images = torch.randint(256, (2, 3, 4, 4), dtype=torch.uint8)
        view = TeacherView(ours, theirs)
        torch.testing.assert_close(
            view(ours({'inputs': images})['inputs']), theirs({'inputs': images})['inputs'], rtol=1e-4, atol=1e-3
        )

    def test_equal_normalization_passes_the_same_tensor(self):
        same = dict(mean=[1.0, 2, 3], std=[4.0, 5, 6], to_rgb=True)
        inputs = torch.randn(2, 3, 4, 4)
        assert TeacherView(*self.preprocessors(same, same))(inputs) is inputs

    def test_resize(self):
        view = TeacherView(*self.preprocessors({}, {}), resize=(6, 8))
        assert view(torch.randn(2, 3, 4, 4)).shape == (2, 3, 6, 8)

    def test_mixup_is_drawn_once_and_seen_by_both(self, make_classifier, trained):
        """The teacher's input is the student's mixed batch, though its own config asks for Mixup too."""
        augment = dict(augments=[dict(type='Mixup', alpha=1.0)])
        student, teacher = make_classifier(6), make_classifier(8)
        student['train_cfg'] = teacher['train_cfg'] = augment
        model = MODELS.build(
            dict(type='shake_mm.KD', student=student, teachers=dict(config=teacher, checkpoint=trained(teacher)))
        )
        seen = {}
        model.student.backbone.register_forward_pre_hook(lambda m, args: seen.update(student=args[0]))
        model.members.frozen['teacher0'].network.backbone.register_forward_pre_hook(
            lambda m, args: seen.update(teacher=args[0])
        )
        from mmpretrain.structures import DataSample

        images = torch.randint(256, (4, 3, 8, 8), dtype=torch.uint8)
        data = {'inputs': images, 'data_samples': [DataSample().set_gt_label(i) for i in range(4)]}
        data = model.data_preprocessor(data, training=True)
        assert not torch.equal(data['inputs'], images.float())
        model(**data, mode='loss')
        assert torch.equal(seen['student'], seen['teacher']) and torch.equal(seen['student'], data['inputs'])


def test_a_distilled_student_can_teach(make_classifier, trained, tmp_path):
    """Its distillation config and checkpoint are enough, no export is needed."""
    from mmengine.config import Config

    first = dict(type='shake_mm.Baseline', student=make_classifier(8))
    model = MODELS.build(first)
    torch.save({'state_dict': model.state_dict()}, tmp_path / 'first.pth')
    Config(dict(model=first, default_scope='mmpretrain')).dump(tmp_path / 'first.py')
    teacher = dict(config=str(tmp_path / 'first.py'), checkpoint=str(tmp_path / 'first.pth'))
    second = MODELS.build(dict(type='shake_mm.KD', student=make_classifier(6), teachers=teacher))
    network = second.members.frozen['teacher0'].network
    assert torch.equal(network.head.fc.weight, model.student.head.fc.weight)
