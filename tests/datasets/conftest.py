"""What the tests of data sets share."""

import cv2
import numpy as np
import pytest


@pytest.fixture(scope='module')
def images():
    """Of 24x40: noise of all values and of few of them, smooth ones, one of a single color; as mmcv has them."""
    rng = np.random.default_rng(0)
    ends = np.sort(rng.integers(256, size=(12, 2, 3)), axis=1)
    noise = [rng.integers(low, high + 1, size=(24, 40, 3)).astype(np.uint8) for low, high in ends]
    return np.stack([*noise, *(cv2.GaussianBlur(image, (5, 5), 2) for image in noise), np.full_like(noise[0], 90)])
