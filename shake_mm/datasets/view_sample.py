"""The sample of a view, of which an epoch makes as many as there are images."""

from typing import Any

from mmpretrain.structures import DataSample
from torch import Tensor


class ViewSample(DataSample):
    """The label of a view of an image, built without the checks of ``DataSample``."""

    @classmethod
    def of(cls, label: Tensor, position: int, view: int) -> 'ViewSample':
        """Make the sample of a view.

        Args:
            label (Tensor): Shape (1,).
            position (int): Of the image in its data set: the ``sample_idx``.
            view (int): Its ``view_idx``, see :class:`ViewSet`.
        """
        sample = cls.__new__(cls)
        sample.__dict__.update(
            _metainfo_fields={'sample_idx', 'view_idx'},
            _data_fields={'gt_label'},
            sample_idx=position,
            view_idx=view,
            gt_label=label,
        )
        return sample

    def set_gt_label(self, value: Any) -> 'ViewSample':
        """Set the label as ``DataSample`` does; a tensor of labels is taken as it is."""
        if not isinstance(value, Tensor) or 'gt_label' not in self._data_fields:
            return super().set_gt_label(value)
        self.__dict__['gt_label'] = value
        return self
