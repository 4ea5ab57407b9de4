"""Stages in a real run: parameters move only where their stage trains them; resuming enters the right stage."""

import torch
from mmengine.runner import Runner

from ..runs import run_config

STAGES = [dict(until=1, terms=['proxy_from_teacher'], train=['proxies']), dict(train=['student'])]


def test_each_stage_moves_its_own_parameters(shake, tmp_path):
    model = {**shake, 'stages': STAGES}
    runner = Runner.from_cfg(run_config(model, tmp_path, epochs=2))
    runner.train()
    first = torch.load(tmp_path / 'epoch_1.pth', weights_only=True)['state_dict']
    last = torch.load(tmp_path / 'epoch_2.pth', weights_only=True)['state_dict']
    parameters = dict(runner.model.named_parameters())
    for name in parameters:
        assert torch.equal(first[name], last[name]) == name.startswith('proxies'), name
    assert runner.model.stage_index == 1

    resumed = Runner.from_cfg(
        run_config(model, tmp_path, epochs=3, resume=True, load_from=str(tmp_path / 'epoch_2.pth'))
    )
    resumed.train()
    assert resumed.model.stage_index == 1 and resumed.epoch == 3
