"""The view that a teacher gets: the student's, drawn once, re-normalized and resized at most."""

from collections.abc import Iterable

from torch import Tensor, nn
from torch.nn import functional as F

from .normalization import Normalization, normalization


class TeacherView(nn.Module):
    r"""Turn the student's preprocessed batch into what a teacher's own preprocessor would have made of the same images.

    The student's normalization is undone and the teacher's applied in one affine map,
    ``x * std_S / std_T + (mean_S - mean_T) / std_T``, after swapping RGB and BGR if the two disagree. Where both
    normalize alike the map is dropped and the batch passes untouched. Where images of several sizes are padded to one,
    the padding is the teacher's own. Random parts of a teacher's preprocessor (Mixup, random resize) never run: the
    student's has drawn the view.

    Args:
        student (nn.Module): The student's data preprocessor.
        teacher (nn.Module): The teacher's data preprocessor.
        resize (tuple[int, int], optional): Size ``(H, W)`` that the teacher wants.
        pads (bool): Whether the ``img_shape`` of samples always tells the image from the padding, as in detection.
            Otherwise it is believed where it agrees with the size of the batch: transforms of classification need not
            keep it up to date. Defaults to True.
    """

    scale: Tensor
    shift: Tensor

    def __init__(
        self, student: nn.Module, teacher: nn.Module, resize: tuple[int, int] | None = None, pads: bool = True
    ) -> None:
        super().__init__()
        self.resize, self.pads = resize, pads
        self._student, self._teacher = normalization(student), normalization(teacher)
        self._divisor = max(int(getattr(student, 'pad_size_divisor', 1) or 1), 1)
        # (mmsegmentation calls it pad_val)
        self._pad_values = tuple(getattr(x, 'pad_value', getattr(x, 'pad_val', 0)) for x in (student, teacher))
        self.register_buffer('scale', None, persistent=False)
        self.register_buffer('shift', None, persistent=False)
        self.fit(Normalization())

    def fit(self, student: Normalization, teacher: Normalization | None = None) -> None:
        """Take into account what pipelines do before the preprocessors.

        Args:
            student (Normalization): Of the run's pipeline.
            teacher (Normalization, optional): Of the pipeline that the teacher was trained with. Where that is not
                known, it is the run's for a teacher whose preprocessor normalizes nothing, and none for the others.
        """
        if teacher is None:
            teacher = Normalization() if self._teacher.rescales else student
        mean_s, std_s, rgb_s = student.then(self._student)
        self.normalization = teacher.then(self._teacher)
        mean_t, std_t, rgb_t = self.normalization
        self.flip = rgb_s != rgb_t
        if self.flip:
            mean_s, std_s = mean_s.flip(0), std_s.flip(0)
        scale, shift = std_s / std_t, (mean_s - mean_t) / std_t
        self.identity = bool((scale == 1).all() and (shift == 0).all())
        device = None if self.scale is None else self.scale.device
        self.scale, self.shift = scale.to(device), shift.to(device)

    def forward(self, inputs: Tensor, data_samples: list | None = None) -> Tensor:
        """Map a batch.

        Args:
            inputs (Tensor): The student's batch, shape (N, C, H, W).
            data_samples (list, optional): Its samples, whose ``img_shape`` tells the image from the padding.

        Returns:
            Tensor: Shape (N, C, H, W), or (N, C) + ``resize``.
        """
        outputs = inputs.flip(1) if self.flip else inputs
        if not self.identity:
            outputs = outputs * self.scale + self.shift
        mine, its = self._pad_values
        if data_samples is not None and not (self.identity and mine == its):
            outputs = self._pad(outputs, inputs, [sample.get('img_shape') for sample in data_samples])
        if self.resize is not None and tuple(outputs.shape[-2:]) != self.resize:
            outputs = F.interpolate(outputs, size=self.resize, mode='bilinear', align_corners=False)
        return outputs

    def _pad(self, outputs: Tensor, inputs: Tensor, shapes: list) -> Tensor:
        """Fill the padding with the teacher's value."""
        whole = tuple(outputs.shape[-2:])
        if None in shapes or not (self.pads or self._agrees(shapes, whole)):
            return outputs
        sizes = [tuple(shape[:2]) for shape in shapes]
        if outputs is inputs and any(size != whole for size in sizes):
            outputs = outputs.clone()  # the batch itself is the student's
        for output, (height, width) in zip(outputs, sizes):
            output[:, height:], output[:, :, width:] = self._pad_values[1], self._pad_values[1]
        return outputs

    def _agrees(self, shapes: Iterable, whole: tuple[int, ...]) -> bool:
        """Whether a preprocessor would have padded images of these sizes to a batch of that size."""
        largest = (max(side) for side in zip(*(shape[:2] for shape in shapes)))
        return all(0 <= padded - side < self._divisor for padded, side in zip(whole, largest))
