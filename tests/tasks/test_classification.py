"""Classifiers of other libraries as teachers."""

import pytest
import torch

from shake_mm.registry import MODELS

from ..support.libraries import stand_in_for_timm, stand_in_for_transformers

WRAPPED = {
    'timm': (stand_in_for_timm, dict(type='TimmClassifier', model_name='any', num_classes=5)),
    'transformers': (stand_in_for_transformers, dict(type='HuggingFaceClassifier', model_name='any', num_labels=5)),
}


@pytest.mark.parametrize('library', WRAPPED)
def test_a_teacher_of_another_library(library, make_classifier, trained, batch, monkeypatch):
    stand_in, teacher = WRAPPED[library]
    stand_in(monkeypatch)
    checkpoint = trained(teacher)
    # The library's own names, without mmpretrain's prefix.
    assert set(torch.load(checkpoint, weights_only=True)['state_dict']) >= {'stem.0.weight', 'head.weight'}
    teacher = {**teacher, 'data_preprocessor': dict(type='ClsDataPreprocessor')}  # what is not stated is refused
    student = make_classifier(6, mean=[60.0, 50.0, 40.0], std=[70.0, 80.0, 90.0])
    model = MODELS.build(
        dict(type='shake_mm.KD', student=student, teachers=dict(config=teacher, checkpoint=checkpoint), tau=2.0)
    )
    model.init_weights()
    inputs, samples = batch()
    losses = model(inputs, samples, mode='loss')
    network = model.members.frozen['teacher0'].network
    raw = inputs * torch.tensor([70.0, 80.0, 90.0])[:, None, None] + torch.tensor([60.0, 50.0, 40.0])[:, None, None]
    with torch.no_grad():  # as its preprocessor does not normalize
        log_p = (network(raw, mode='tensor') / 2).log_softmax(1)
        log_q = (model.student(inputs, mode='tensor') / 2).log_softmax(1)
    expected = 4 * (log_p.exp() * (log_p - log_q)).sum() / 4
    torch.testing.assert_close(losses['loss_student_from_teacher'].detach(), expected, rtol=1e-4, atol=1e-5)
    assert not any(parameter.requires_grad for parameter in network.parameters())
