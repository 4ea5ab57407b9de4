"""The cost of each way to run a frozen teacher, and its effect on the logits."""

import copy
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

import torch
from torch import Tensor
from torch.nn import functional as F

from benchmarks.step_time import Spread
from shake_mm.engine import Distiller
from shake_mm.members import FrozenMember, Inference

SWITCHES: dict[str, dict[str, Any]] = {
    'float32': {},
    'channels-last': dict(channels_last=True),
    'fused': dict(fuse_bn=True),
    'compiled': dict(compile=True),
    'fused, compiled': dict(fuse_bn=True, compile=True),
    'bfloat16': dict(dtype='bfloat16'),
    'bfloat16, channels-last': dict(dtype='bfloat16', channels_last=True),
    'bfloat16, channels-last, fused': dict(dtype='bfloat16', channels_last=True, fuse_bn=True),
    'float16, channels-last': dict(dtype='float16', channels_last=True),
}


class Effect(NamedTuple):
    """The measured effect of a switch.

    Args:
        seconds (Spread): Of a pass over a batch.
        ratio (Spread): Of that to the pass without a switch, within a round.
        deviation (float): Largest of a logit over all images.
        agreement (float): Share of images in the class of the plain teacher, in percent.
        accuracy (float): In percent.
        gap (float): The teacher-student gap, KL(teacher || student) at temperature ``tau``.
    """

    seconds: Spread
    ratio: Spread
    deviation: float
    agreement: float
    accuracy: float
    gap: float


def effects(
    model: Distiller,
    batches: Sequence[dict],
    names: Sequence[str],
    rounds: int,
    clock: Callable[[], float],
    device: str,
    tau: float = 4.0,
) -> dict[str, Effect]:
    """Measure switches on the first frozen teacher of a distiller.

    Args:
        model (Distiller): Student and teacher with their trained weights.
        batches (list[dict]): Of the validation set, as the data loader gives them.
        names (list[str]): Keys of ``SWITCHES``; ``'float32'`` comes first whether it is named or not.
        rounds (int): How often all take their turn at the first batch.
        clock (callable): Seconds.
        device (str): Device of torch.
        tau (float): Temperature of the gap. Defaults to 4.
    """
    model = model.to(device).eval()
    data = [model.data_preprocessor(batch, False) for batch in batches]
    labels = torch.cat([sample.gt_label for batch in data for sample in batch['data_samples']]).to(device)
    with torch.no_grad():
        student = torch.cat([model(batch['inputs'], mode='tensor') for batch in data])
    plain = next(iter(model.members.frozen.values()))
    members = {name: _switched(plain, SWITCHES[name], data) for name in dict.fromkeys(['float32', *names])}
    logits = {name: torch.cat([member(batch['inputs']) for batch in data]) for name, member in members.items()}
    turns: dict[str, list[float]] = {name: [] for name in members}
    wait = torch.cuda.synchronize if device.startswith('cuda') else lambda: None
    for turn in range(rounds):
        for name in list(members) if turn % 2 == 0 else reversed(members):
            wait()
            start = clock()
            members[name](data[0]['inputs'])
            wait()
            turns[name].append(clock() - start)
    return {
        name: Effect(
            Spread.of(turns[name]),
            Spread.of([one / other for one, other in zip(turns[name], turns['float32'])]),
            *_differences(own, logits['float32'], student, labels, tau),
        )
        for name, own in logits.items()
    }


def _switched(plain: FrozenMember, settings: Mapping[str, Any], data: Sequence[dict]) -> FrozenMember:
    member = copy.deepcopy(plain)
    member.accelerate('teacher0', Inference(**settings), data[0]['inputs'].shape[2:])
    return member


def _differences(
    own: Tensor, plain: Tensor, student: Tensor, labels: Tensor, tau: float
) -> tuple[float, float, float, float]:
    chosen = own.argmax(1)
    return (
        (own - plain).abs().max().item(),
        100 * (chosen == plain.argmax(1)).float().mean().item(),
        100 * (chosen == labels).float().mean().item(),
        F.kl_div((student / tau).log_softmax(1), (own / tau).softmax(1), reduction='batchmean').item(),
    )
