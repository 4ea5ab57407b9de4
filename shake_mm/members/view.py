"""The view that a teacher gets: the student's, drawn once, re-normalized and resized at most."""

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional as F


class TeacherView(nn.Module):
    r"""Turn the student's preprocessed batch into what a teacher's own preprocessor would have made of the same images.

    The student's normalization is undone and the teacher's applied in one affine map,
    ``x * std_S / std_T + (mean_S - mean_T) / std_T``, after swapping RGB and BGR if the two disagree. Where both
    normalize alike the map is dropped and the batch passes untouched. Random parts of a teacher's preprocessor
    (Mixup, random resize) never run: the student's has drawn the view.

    Args:
        student (nn.Module): The student's data preprocessor.
        teacher (nn.Module): The teacher's data preprocessor.
        resize (tuple[int, int], optional): Size ``(H, W)`` that the teacher wants.
    """

    def __init__(self, student: nn.Module, teacher: nn.Module, resize: tuple[int, int] | None = None) -> None:
        super().__init__()
        self.resize = resize
        mean_s, std_s, rgb_s = normalization(student)
        mean_t, std_t, rgb_t = normalization(teacher)
        self.flip = rgb_s != rgb_t
        if self.flip:
            mean_s, std_s = mean_s.flip(0), std_s.flip(0)
        scale, shift = std_s / std_t, (mean_s - mean_t) / std_t
        self.identity = bool((scale == 1).all() and (shift == 0).all())
        self.register_buffer('scale', scale, persistent=False)
        self.register_buffer('shift', shift, persistent=False)

    def forward(self, inputs: Tensor, data_samples: list | None = None) -> Tensor:
        """Map a batch.

        Args:
            inputs (Tensor): The student's batch, shape (N, C, H, W).
            data_samples (list, optional): Its samples; where images of several sizes are padded to one, their
                ``img_shape`` tells the image from the padding, which stays what it is.

        Returns:
            Tensor: Shape (N, C, H, W), or (N, C) + ``resize``.
        """
        if self.flip:
            inputs = inputs.flip(1)
        if not self.identity:
            inputs = self._pad(inputs * self.scale + self.shift, inputs, data_samples or ())
        if self.resize is not None and tuple(inputs.shape[-2:]) != self.resize:
            inputs = F.interpolate(inputs, size=self.resize, mode='bilinear', align_corners=False)
        return inputs

    @staticmethod
    def _pad(outputs: Tensor, inputs: Tensor, data_samples: Sequence) -> Tensor:
        for output, source, sample in zip(outputs, inputs, data_samples):
            height, width = sample.get('img_shape', output.shape[1:])[:2]
            output[:, height:], output[:, :, width:] = source[:, height:], source[:, :, width:]
        return outputs


def normalization(preprocessor: nn.Module) -> tuple[Tensor, Tensor, bool]:
    """Mean and standard deviation, shape (C, 1, 1), and whether channels come out swapped to RGB."""
    rgb = bool(getattr(preprocessor, 'to_rgb', False) or getattr(preprocessor, '_channel_conversion', False))
    if not getattr(preprocessor, '_enable_normalize', False):
        return torch.zeros(1, 1, 1), torch.ones(1, 1, 1), rgb
    return preprocessor.mean.float().cpu(), preprocessor.std.float().cpu(), rgb
