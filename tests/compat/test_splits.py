import numpy as np
import pytest
from mmengine.dataset import BaseDataset
from mmpretrain.datasets import CIFAR10, MNIST, FashionMNIST

from shake_mm.compat.workarounds.splits import ignores_split
from tests.support.mnist import write_mnist


@pytest.mark.parametrize('kind', [MNIST, FashionMNIST])
def test_the_test_split_holds_the_test_images(kind, tmp_path, monkeypatch):
    root = write_mnist(tmp_path)

    def images(**arguments):
        dataset = kind(data_root=root, download=False, pipeline=[], **arguments)
        return np.stack([dataset[i]['img'] for i in range(len(dataset))]), dataset.test_mode

    (train, training), (test, testing) = images(split='train'), images(split='test')
    assert (train.shape, test.shape) == ((48, 28, 28), (24, 28, 28)) and (training, testing) == (False, True)
    np.testing.assert_array_equal(test, images(split='test', test_mode=True)[0])
    monkeypatch.setattr(BaseDataset, 'full_init', BaseDataset.full_init.__wrapped__)
    np.testing.assert_array_equal(images(split='test')[0], train)  # the bug


def test_data_sets_that_read_their_split_are_left_alone():
    assert ignores_split(MNIST) and not ignores_split(CIFAR10) and not ignores_split(BaseDataset)

    class Mended(MNIST):
        def load_data_list(self):
            return self.split

    assert not ignores_split(Mended)
