"""The logits that a classifier predicts by, which are not always what its head's ``forward`` returns in training."""

from functools import partial
from typing import Any

import torch
from mmengine.logging import print_log
from mmpretrain.models import heads
from mmpretrain.structures import DataSample
from torch import Tensor, nn

from ..errors import UsageError
from ..taps import Alias, Combined, Taps
from ..utils import copy_module, image_channels

KNOWN = (
    heads.ArcFaceClsHead,
    heads.CSRAClsHead,
    heads.ClsHead,
    heads.ConformerHead,
    heads.DeiTClsHead,
    heads.EfficientFormerClsHead,
    heads.LeViTClsHead,
    heads.LinearClsHead,
    heads.MultiLabelClsHead,
    heads.MultiLabelLinearClsHead,
    heads.StackedLinearClsHead,
    heads.VigClsHead,
    heads.VisionTransformerClsHead,
)
"""Heads of which a test says that the tap holds what they predict by; others are compared when a distiller is built."""

_ACTIVATIONS = {'softmax': partial(torch.softmax, dim=1), 'sigmoid': torch.sigmoid}


def logits_tap(head: nn.Module) -> Alias:
    """The tap, below a classifier, of the logits that its head predicts by.

    A Conformer predicts by the sum of its two heads' logits, and ArcFace by the scaled cosines without the margin that
    stands in its training output.
    """
    if isinstance(head, heads.ConformerHead):
        return Combined(('head[0]', 'head[1]'), torch.add)
    if isinstance(head, heads.ArcFaceClsHead):
        return Combined(('head.norm_product',), partial(torch.mul, other=head.scale))
    return 'head'


def logits_in(output: Any, head: nn.Module | None) -> Tensor:
    """The logits (N, K) in what a head, or a classifier with this head, returns in evaluation."""
    if isinstance(head, heads.ConformerHead):
        return output[0] + output[1]
    return output[-1] if isinstance(output, (tuple, list)) else output


def scores_in(logits: Tensor, head: nn.Module | None) -> Tensor | None:
    """The scores (N, K) that a head makes of its logits (N, K); None where it predicts numbers and no classes."""
    if isinstance(head, getattr(heads, 'RegressionHead', ())):  # of OneDL's mmpretrain
        return None
    return _ACTIVATIONS[activation_of(head)](logits)


def replaced(output: Any, logits: Tensor, head: nn.Module) -> Any:
    """What a head would return had it these logits."""
    if isinstance(head, heads.ConformerHead):
        return logits, torch.zeros_like(logits)
    return (*output[:-1], logits) if isinstance(output, (tuple, list)) else logits


class LogitsHead(nn.Module):
    """A head whose output are the logits that it predicts by.

    Args:
        head (nn.Module): One that returns something else.
    """

    def __init__(self, head: nn.Module) -> None:
        super().__init__()
        self.head = head

    def init_weights(self) -> None:
        """Initialize the head, if it can be."""
        self.head.init_weights()

    def forward(self, feats: Any) -> Tensor:
        """Logits (N, K) of what the head takes."""
        return logits_in(self.head(feats), self.head)


def activation_of(head: nn.Module | None) -> str:
    """How a head makes its scores of its logits: ``'softmax'``, or ``'sigmoid'`` where each class is by itself."""
    if isinstance(head, heads.MultiLabelClsHead):
        return 'sigmoid'
    if head is None or type(head) in KNOWN or not hasattr(head, '_get_predictions'):
        return 'softmax'
    logits = torch.linspace(-1, 1, 64)[None]
    scores = head._get_predictions(logits, None)[0].pred_score
    return 'sigmoid' if torch.allclose(scores, logits[0].sigmoid(), atol=1e-4) else 'softmax'


def check_scores(network: nn.Module, name: str, learns: bool) -> None:
    """Refuse a classifier whose logits are not known.

    Args:
        network (nn.Module): The classifier.
        name (str): The member's name, for errors.
        learns (bool): Whether it is trained.

    Raises:
        UsageError: With the reason.
    """
    head = getattr(network, 'head', None)
    if isinstance(head, heads.MultiTaskHead):
        raise UsageError(
            f'{name}: a MultiTaskHead has logits for each task, of the samples that are labeled for it: distill the '
            f"features that its heads share ({name}.pool), or one task's network."
        )
    if isinstance(head, getattr(heads, 'RegressionHead', ())):  # of OneDL's mmpretrain
        raise UsageError(
            f'{name}: a {type(head).__name__} predicts numbers and no classes: distill features ({name}.pool), with '
            'neither KD nor SHAKE.'
        )
    distilled = getattr(head, 'distillation', False) or getattr(head, 'dist', False)
    if learns and distilled and isinstance(head, heads.LeViTClsHead | heads.EfficientFormerClsHead):
        raise UsageError(
            f'{name}: mmpretrain does not train a {type(head).__name__} that has a distillation head: set '
            'distillation=False in `head`.'
        )
    if head is not None and type(head) not in KNOWN:
        _compare(network, head, name, learns)


def _compare(network: nn.Module, head: nn.Module, name: str, learns: bool) -> None:
    """Refuse a head of which the tap does not hold what it predicts by, tried out on random features."""
    feats = _features(network)
    if feats is None:
        print_log(f'{name}: what its {type(head).__name__} predicts by could not be compared with its logits.')
        return
    holder = nn.Module()
    holder.head = copy_module(head).eval()
    samples = [DataSample().set_gt_label(0) for _ in range(_SAMPLES)]
    try:
        scores = torch.stack([sample.pred_score for sample in holder.head.predict(feats, samples)])
        if learns:
            _train_but_layers(holder.head)
        seen = _tapped(holder, lambda: holder.head.loss(feats, samples) if learns else holder.head(feats))
        same = torch.allclose(_ACTIVATIONS[activation_of(head)](seen), scores, rtol=1e-3, atol=1e-5)
    except Exception as error:  # whatever a head that is not known does
        reason = ' '.join(str(error).split()) or type(error).__name__
        raise UsageError(f'{name}: its {type(head).__name__} cannot be tried out ({reason}): {_MEND}.') from error
    if not same:
        raise UsageError(
            f'{name}: what its {type(head).__name__} returns {"in training" if learns else ""} is not what it predicts '
            f'by: {_MEND}.'.replace('  ', ' ')
        )


_SAMPLES = 2
_MEND = "name the layer whose output are the logits, taps=dict(logits='head.…') of the member"


def _train_but_layers(head: nn.Module) -> None:
    """Training mode for a head and the heads in it; layers that are random, or see the batch, stay in evaluation."""
    for module in head.modules():
        module.training = type(module).__module__.partition('.')[0] != 'torch'


def _tapped(holder: nn.Module, run: Any) -> Tensor:
    taps = Taps({'x': holder}, {'x': {'logits': logits_tap(holder.head)}})
    taps.request('x.logits')
    with torch.no_grad(), taps.recording():
        run()
        return taps.tensor('x.logits')


@torch.no_grad()
def _features(network: nn.Module) -> Any:
    """What the head reads of a random image; None if the backbone takes none of the usual sizes."""
    device = next(network.parameters()).device
    backbone, channels = network.backbone, image_channels(network)
    modes = {module: module.training for module in network.modules()}
    try:
        for size in (getattr(backbone, 'img_size', 32), 32, 64, 224):
            shape = (size, size) if isinstance(size, int) else tuple(size)
            inputs = torch.randn(_SAMPLES, channels, *shape, generator=torch.Generator().manual_seed(0)).to(device)
            try:
                return network.eval().extract_feat(inputs)
            except (RuntimeError, AssertionError, ValueError):
                continue
        return None
    finally:
        for module, mode in modes.items():
            module.training = mode
