"""Data sets of mmpretrain that give the training images where the test split is asked for."""

from functools import wraps

from mmengine.dataset import BaseDataset

from ..upstream import needs


@needs('mmengine.dataset:BaseDataset.full_init')
def workaround_test_split() -> bool:
    """Let ``split='test'`` of mmpretrain's ``MNIST`` and ``FashionMNIST`` mean the test images.

    They note the split, but ``load_data_list`` asks for ``test_mode`` alone (``mmpretrain/datasets/mnist.py``), so
    that an evaluation without ``test_mode=True`` silently measures the training images. Every data set of mmpretrain
    that reads so is set to ``test_mode`` before it loads; those that read their ``split`` there are left alone.
    """
    upstream = BaseDataset.full_init
    if hasattr(upstream, '__wrapped__'):
        return False

    @wraps(upstream)
    def full_init(self: BaseDataset) -> None:
        if getattr(self, 'split', None) == 'test' and not self.test_mode and ignores_split(type(self)):
            self.test_mode = True
        upstream(self)

    BaseDataset.full_init = full_init
    return True


def ignores_split(kind: type) -> bool:
    """Whether a data set of mmpretrain chooses its images by ``test_mode`` and not by its ``split``."""
    load = kind.load_data_list  # type: ignore[attr-defined]
    code = getattr(load, '__code__', None)
    ours = load.__module__.startswith('mmpretrain.')
    return ours and code is not None and 'test_mode' in code.co_names and 'split' not in code.co_names
