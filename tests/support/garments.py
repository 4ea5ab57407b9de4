"""Small files in the form of Fashion-MNIST's."""

import numpy as np

from shake_mm.datasets.fashion import FILES
from shake_mm.datasets.idx import write_idx


def write_garments(folder, train=600, test=200, ending=''):
    """Write the four files: every class as often, and picture ``i`` holds a filled box and ``i`` in a corner."""
    folder.mkdir(parents=True, exist_ok=True)
    rng = np.random.default_rng(7)
    for part, count in (('train', train), ('test', test)):
        images = np.zeros((count, 28, 28), np.uint8)
        images[:, 5:24, 6:22] = rng.integers(60, 256, (count, 19, 16))
        labels = rng.permutation(np.arange(count, dtype=np.uint8) % 10)
        for name, values in zip(FILES[part], (images, labels)):
            write_idx(folder / f'{name}{ending}', values)
    return folder
