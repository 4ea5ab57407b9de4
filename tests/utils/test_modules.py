"""Copies of modules carry no hooks of others."""

import torch
from mmengine.model import MMDistributedDataParallel
from torch import nn

from shake_mm.utils import copy_module, unwrap_model


def network():
    torch.manual_seed(0)
    return nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4), nn.Sequential(nn.Conv2d(4, 2, 1)))


def test_a_copy_has_the_weights_and_none_of_the_hooks():
    module, seen = network(), []
    for layer in module.modules():
        layer.register_forward_hook(lambda *call: seen.append('forward'))
        layer.register_forward_pre_hook(lambda *call: seen.append('before'))
        layer.register_forward_hook(lambda *call, **kwargs: seen.append('always'), always_call=True, with_kwargs=True)
        layer.register_full_backward_hook(lambda *call: seen.append('backward'))
    twin = copy_module(module)
    inputs = torch.randn(2, 3, 5, 5, requires_grad=True)
    output = twin(inputs)
    output.sum().backward()
    assert not seen
    assert torch.equal(output, module(inputs)) and set(seen) == {'forward', 'before', 'always'}
    assert all(a is not b and torch.equal(a, b) for a, b in zip(module.parameters(), twin.parameters()))


def test_what_a_hook_holds_is_not_copied():
    class Holder:
        def __init__(self):
            self.value = torch.ones(2, requires_grad=True) * 2  # no leaf, which deepcopy refuses

        def __call__(self, *call):
            pass

    module = network()
    module[0].register_forward_hook(Holder())
    assert not copy_module(module)[0]._forward_hooks and len(module[0]._forward_hooks) == 1


def test_spectral_norm_is_part_of_its_layer():
    layer = torch.nn.utils.spectral_norm(nn.Linear(3, 2))
    layer.register_forward_pre_hook(lambda *call: None)
    twin = copy_module(layer)
    twin.weight_orig.data.mul_(2)  # which the norm takes away again
    inputs = torch.randn(4, 3)
    torch.testing.assert_close(twin.eval()(inputs), layer.eval()(inputs))
    assert len(twin._forward_pre_hooks) == 1 and len(layer._forward_pre_hooks) == 2


def test_the_model_inside_a_wrapper():
    model = network()
    assert unwrap_model(model) is model
    wrapper = MMDistributedDataParallel.__new__(MMDistributedDataParallel)
    nn.Module.__init__(wrapper)
    wrapper.module = model
    assert unwrap_model(wrapper) is model
