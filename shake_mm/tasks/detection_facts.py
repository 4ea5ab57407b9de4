"""Facts of a batch of a detector that losses ask for: its boxes, and where its own loss saw objects."""

from collections.abc import Sequence
from typing import Any

from mmdet.structures import DetDataSample
from torch import Tensor

from ..errors import UsageError

_INSTANCES = {'gt_bboxes': 'bboxes', 'gt_labels': 'labels'}


def blank_samples(inputs: Tensor) -> list[DetDataSample]:
    """Samples of images (N, 3, H, W) that fill the batch, without labels."""
    shapes = dict.fromkeys(('img_shape', 'ori_shape', 'pad_shape', 'batch_input_shape'), tuple(inputs.shape[2:]))
    return [DetDataSample(metainfo=dict(shapes, scale_factor=(1.0, 1.0))) for _ in inputs]


def facts_of_samples(samples: Sequence[Any], name: str) -> Any:
    """A fact that the samples hold.

    Args:
        samples (list): Preprocessed samples of a detector.
        name (str): ``'gt_bboxes'`` for the boxes (n, 4) of each image, x1 y1 x2 y2 in pixels of the batch;
            ``'gt_labels'`` for their classes (n,); ``'batch_input_shape'`` for height and width of the padded batch;
            ``'img_shapes'`` for those of each image without its padding.

    Raises:
        UsageError: If they hold nothing of that name.
    """
    key = _INSTANCES.get(name)
    if key is not None and samples and all(key in getattr(sample, 'gt_instances', ()) for sample in samples):
        values = [sample.gt_instances[key] for sample in samples]
        return [getattr(value, 'tensor', value) for value in values]  # boxes may be wrapped
    if name == 'batch_input_shape' and samples and all(name in sample for sample in samples):
        return tuple(int(side) for side in samples[0].batch_input_shape)
    if name == 'img_shapes' and samples and all('img_shape' in sample for sample in samples):
        return [tuple(int(side) for side in sample.img_shape[:2]) for sample in samples]
    if name in ('places', 'valuable_places'):
        raise UsageError(
            f"a loss asks for '{name}', which the own loss of a dense student makes: keep the term "
            "task=dict(of='student') in every stage with the loss."
        )
    raise UsageError(
        f"a loss asks for '{name}', which the samples of a detector do not hold: give annotations with boxes, or use a "
        'loss that does not ask for it.'
    )
