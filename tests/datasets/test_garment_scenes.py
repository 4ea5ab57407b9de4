import mmcv
import numpy as np
import pytest

from shake_mm.datasets import GarmentScenes
from shake_mm.datasets.fashion import load_garments

from ..support.garments import write_garments


@pytest.fixture(scope='module')
def root(tmp_path_factory):
    return str(write_garments(tmp_path_factory.mktemp('garments')))


def test_scenes_show_garments_of_their_split(root, tmp_path):
    dataset = GarmentScenes(split='test', num_images=8, image_size=64, data_root=str(tmp_path), garment_root=root)
    labels = load_garments(root, 'test').labels
    for index in range(8):
        scene, info = dataset.draw(index), dataset.get_data_info(index)
        assert np.array_equal(mmcv.imread(info['img_path']), scene.img)
        assert [instance['bbox_label'] for instance in info['instances']] == labels[scene.glyphs].tolist()
        # The box in the files is 16 wide and 19 high.
        assert np.abs(scene.boxes[:, 3] / scene.boxes[:, 2] - 19 / 16).max() < 0.35
