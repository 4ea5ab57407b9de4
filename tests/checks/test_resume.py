"""Going on from a checkpoint: what the table of bad inputs does not try."""

import copy

import pytest
import torch
from mmengine.config import Config
from torch import nn

from shake_mm.checks.resume import check_last, check_resume
from shake_mm.errors import UsageError
from shake_mm.registry import MODELS
from tests.bad_inputs.resumes import saved
from tests.bad_inputs.site import classifier_of


def config(**optimizer) -> Config:
    return Config(dict(optim_wrapper=dict(optimizer=dict(type='SGD', lr=0.1, **optimizer))))


@pytest.fixture(scope='module')
def model() -> nn.Module:
    return MODELS.build(classifier_of())


@pytest.mark.parametrize('prefix', ['', 'module.'])
def test_its_own_checkpoint_passes(model, prefix):
    """Also where settings of its optimizer have changed; a prefix that no wrapper gives is another network's."""
    cfg = config(momentum=0.9, nesterov=True)
    check_resume(model, cfg, 'a.pth', saved(prefix=prefix))
    with pytest.raises(UsageError, match='another method or network, it lacks backbone.conv1.weight, '):
        check_resume(model, cfg, 'a.pth', saved(prefix=f'ema.{prefix}'))


def test_what_other_versions_of_torch_leave_out_passes(model):
    content = copy.deepcopy(saved())
    for key in ('foreach', 'fused', 'maximize', 'differentiable'):
        content['optimizer']['param_groups'][0].pop(key, None)
    check_resume(model, config(), 'a.pth', content)
    del content['optimizer']['param_groups'][0]['momentum']  # which every version has
    with pytest.raises(UsageError, match='another optimizer than SGD, it has no momentum: '):
        check_resume(model, config(), 'a.pth', content)


def test_averages_and_constants_beside_the_network_pass(model):
    content = saved()
    extra = {'ema_head_fc_bias': torch.zeros(1), 'data_preprocessor.mean': torch.zeros(3)}
    content['state_dict'] = {**content['state_dict'], **extra}
    check_resume(model, config(), 'a.pth', content)
    content['state_dict']['neck.weight'] = torch.zeros(1)
    with pytest.raises(UsageError, match='also holds neck.weight: give the config'):
        check_resume(model, config(), 'a.pth', content)


def test_an_optimizer_that_cannot_be_built_alone_is_left_to_the_run(model):
    check_resume(model, config(process_group='none'), 'a.pth', saved(kind=torch.optim.AdamW))
    with pytest.raises(UsageError, match='another optimizer than SGD'):
        check_resume(model, config(), 'a.pth', saved(kind=torch.optim.AdamW))


@pytest.mark.parametrize('changes', [dict(resume=False), dict(resume=True, load_from='a.pth')])
def test_the_last_checkpoint_is_not_read_where_it_is_not_asked_for(tmp_path, changes):
    (tmp_path / 'last_checkpoint').write_bytes(b'\xff')
    check_last(Config(dict(work_dir=str(tmp_path), **changes)))
    with pytest.raises(UsageError, match='last_checkpoint is damaged'):
        check_last(Config(dict(work_dir=str(tmp_path), resume=True)))
