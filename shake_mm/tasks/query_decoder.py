"""The decoder of a DETR: its own queries, and what it answers to those of another."""

import copy
import inspect
from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any

import torch
from mmdet.models.detectors import DABDETR, DDQDETR, DINO, DeformableDETR
from torch import Tensor, nn
from torch.func import functional_call

from ..taps import Alias, Combined
from ..utils import twin_of

POINTS = ('query', 'query_pos', 'reference_points')
"""Names of what mmdet's decoders take of a query: its content, its position, and where it looks."""

_NAMES = {'key': 'memory', 'value': 'memory', 'key_pos': 'memory_pos', 'key_padding_mask': 'memory_mask'}
"""Names that decoders have for arguments of `forward_decoder`."""


def decoder_aliases(network: nn.Module) -> dict[str, Alias]:
    """Taps of the decoder's own queries, without those of denoising and of dense supervision, layer by layer.

    Args:
        network (nn.Module): A detector with a decoder.

    Returns:
        dict: ``logits`` (N, Q, K), ``boxes`` (N, Q, 4) with normalized centers and sizes, and ``states`` (N, Q, D),
        what the head reads, each a list over the decoder's layers; ``decoding``, a dict of all that the decoder reads.
    """
    own = partial(_own, network)
    return {
        'logits': Combined(('bbox_head[0]',), own),
        'boxes': Combined(('bbox_head[1]',), own),
        'states': Combined(('bbox_head:input',), own),
        'decoding': Combined(('decoder:named',), partial(_decoding, network)),
    }


def number_of_queries(network: nn.Module) -> int:
    """How many queries an image has in evaluation: DAB-DETR's patterns have a set each."""
    return network.num_queries * max(1, getattr(network, 'num_patterns', 0))


def _part(network: nn.Module, total: int) -> slice:
    """The decoder's own among all queries of a pass: behind those of denoising, before those of dense supervision."""
    number = number_of_queries(network)
    dense = network.cache_dict.get('num_dense_queries', 0) if isinstance(network, DDQDETR) and total > number else 0
    return slice(total - dense - number, total - dense)


def _own(network: nn.Module, layers: Tensor) -> list[Tensor]:
    return list(layers[:, :, _part(network, layers.shape[2])].unbind(0))


def _decoding(network: nn.Module, named: Mapping[str, Any]) -> dict[str, Any]:
    """The tensors that `forward_decoder` was given, of the decoder's own queries alone."""
    known = inspect.signature(type(network).forward_decoder).parameters
    inputs = {_NAMES.get(name, name): value for name, value in named.items()}
    inputs = {name: value for name, value in inputs.items() if name in known}
    part = _part(network, inputs['query'].shape[1])
    return {name: value[:, part] if name in POINTS else value for name, value in inputs.items()}


class DecoderBehind(nn.Module):
    """What a detector's decoder and head answer to any queries, by weights that stay the detector's own.

    One more pass of the decoder and of the head, on what the encoder has made already.

    Args:
        network (nn.Module): The detector. It is no part of this, and none of its hooks runs.
    """

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.__dict__['_network'] = network

    @property
    def form(self) -> tuple:
        """What the queries consist of, and of how many numbers: equal where two networks take the same ones."""
        network = self._network
        width = network.embed_dims
        if isinstance(network, DINO):
            return ('content', width), ('box', 4)
        if isinstance(network, DeformableDETR):
            return ('content', width), ('position', width), ('reference', 4 if network.as_two_stage else 2)
        position = ('box', network.query_dim) if isinstance(network, DABDETR) else ('position', width)
        return ('content', width), position

    def draw(self, decoding: Mapping[str, Any], number: int) -> dict[str, Tensor]:
        """Queries drawn at random, the same for all images, as embeddings are when they are new: from N(0, 1).

        Where a query has no content before the decoder, as DETR's, it stays 0, and references are drawn before their
        sigmoid.

        Args:
            decoding (dict): What the tap ``decoding`` holds.
            number (int): How many.
        """
        drawn = {}
        for name in POINTS:
            if name in decoding:
                like = decoding[name]
                value = torch.randn(1, number, like.shape[2], dtype=like.dtype, device=like.device)
                drawn[name] = value.expand(len(like), -1, -1)
        if not isinstance(self._network, DeformableDETR):
            drawn['query'] = torch.zeros_like(drawn['query'])
        if 'reference_points' in drawn:
            drawn['reference_points'] = drawn['reference_points'].sigmoid()
        return drawn

    def forward(self, decoding: Mapping[str, Any], points: Mapping[str, Tensor]) -> list[list[Tensor]]:
        """Answer.

        Args:
            decoding (dict): What the network's own tap ``decoding`` holds.
            points (dict): Queries, of :data:`POINTS` those that it holds.

        Returns:
            list: Logits (N, Q, K) and boxes (N, Q, 4), each a list over the decoder's layers.
        """
        answering = _Answering(self._network)
        inputs = {**decoding, **{name: points[name] for name in POINTS if name in decoding}}
        if not inputs['memory'].is_meta:
            return answering(inputs)
        state = {
            name: tensor.detach().to('meta')
            for named in (answering.named_parameters, answering.named_buffers)
            for name, tensor in named()
        }
        return functional_call(answering, state, (inputs,), tie_weights=False)


class _Answering(nn.Module):
    """A decoder and a head on layers of their own, without hooks."""

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.decoder, self.bbox_head = twin_of(network.decoder), twin_of(network.bbox_head)
        self.__dict__['_network'] = network

    def forward(self, inputs: Mapping[str, Any]) -> list[list[Tensor]]:
        """Logits and boxes of every layer."""
        network = copy.copy(self._network)
        network._modules = {**network._modules, 'decoder': self.decoder, 'bbox_head': self.bbox_head}
        if isinstance(network, DDQDETR):
            self._select_distinct(inputs['query'].shape[1])
        given = {**inputs, 'dn_mask': None} if 'dn_mask' in inputs else inputs
        found = network.forward_decoder(**given)
        return [list(output.unbind(0)) for output in head_outputs(self.bbox_head, found)]

    def _select_distinct(self, number: int) -> None:
        """Let DDQ tell distinct queries among these, as in evaluation: in training it knows dense ones as well."""
        cache = {**self.decoder.cache_dict, 'dis_query_info': [0, number]}
        for layer in self.modules():
            layer.cache_dict = cache
        self.decoder.training = self.bbox_head.training = False  # their own flag; the layers drop out as they did


def head_outputs(head: nn.Module, found: Mapping[str, Any]) -> Sequence[Tensor]:
    """Logits and boxes (L, N, Q, ·) that a head makes of what `forward_decoder` returned."""
    references = [found['references']] if 'references' in found else []
    return head(found['hidden_states'], *references)
