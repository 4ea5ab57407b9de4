"""Annotations in COCO's format, checked as they are read: mmdet silently drops what it cannot use."""

from collections import Counter
from collections.abc import Mapping
from typing import Any

from mmdet.datasets.api_wrappers import COCO

from ..errors import UsageError
from .schema import is_finite, shown

NEEDED = {
    'images': ('id', 'file_name', 'height', 'width'),
    'annotations': ('id', 'image_id', 'category_id', 'bbox', 'area'),
    'categories': ('id', 'name'),
}


class CheckedCOCO(COCO):
    """mmdet's reader of annotation files, which refuses files that contradict themselves.

    Args:
        annotation_file (str, optional): The file.

    Raises:
        UsageError: Naming the file and the entry.
    """

    def __init__(self, annotation_file: str | None = None) -> None:
        self._file = annotation_file
        super().__init__(annotation_file)

    def get_cat_ids(self, cat_names: Any = (), sup_names: Any = (), cat_ids: Any = ()) -> list[int]:
        """Ids of the categories with these names, all of which must exist: mmdet would renumber the others."""
        known = [category['name'] for category in self.dataset.get('categories', ())]
        unknown = [name for name in cat_names if name not in known]
        if unknown and self._file is not None:
            raise UsageError(
                f"{self._file} has no category '{unknown[0]}', it has {', '.join(map(str, known))}: set "
                '`metainfo.classes` of the data set to names of these.'
            )
        return super().get_cat_ids(list(cat_names), list(sup_names), list(cat_ids))

    def createIndex(self) -> None:
        """Check the annotations, then index them as pycocotools does."""
        if self._file is not None:
            check_coco(self.dataset, self._file)
        super().createIndex()


def check_coco(content: Mapping[str, Any], file: str) -> None:
    """Refuse annotations that contradict themselves.

    Boxes without width or height pass, since COCO itself has some: mmdet drops them.

    Args:
        content (dict): What the file holds.
        file (str): Its path, named in errors.

    Raises:
        UsageError: If a part is missing, an id is duplicated or unknown, or a box is invalid.
    """
    for part, keys in NEEDED.items():
        if part not in content and part == 'annotations':
            continue  # of a set without ground truth, such as COCO's test-dev
        if not isinstance(content.get(part), list):
            raise UsageError(f"{file} has no list '{part}', which COCO's format needs: add it.")
        for i, entry in enumerate(content[part]):
            for key in keys:
                if key not in entry:
                    raise UsageError(f"{file}: {part}[{i}] has no '{key}': add it, or take the entry out.")
        ids = [entry['id'] for entry in content[part]]
        if len(set(ids)) < len(ids):
            double = Counter(ids).most_common(1)[0][0]
            raise UsageError(f'{file}: several {part} have the id {double}: give each an id of its own.')
    known = {key: {entry['id'] for entry in content[part]} for part, key in _REFERENCES.items()}
    for annotation in content.get('annotations', ()):
        for part, key in _REFERENCES.items():
            if annotation[key] not in known[key]:
                raise UsageError(
                    f'{file}: annotation {annotation["id"]} has the {key} {annotation[key]}, which is none of the '
                    f'{part}: fix it, or take it out.'
                )
        if not _is_box(annotation['bbox']):
            raise UsageError(
                f'{file}: annotation {annotation["id"]} has the bbox {shown(annotation["bbox"])}, but a box is [x, y, '
                'width, height] in finite numbers, the last two 0 or more: fix it, or take it out.'
            )


_REFERENCES = {'images': 'image_id', 'categories': 'category_id'}


def _is_box(box: Any) -> bool:
    numbers = isinstance(box, list) and len(box) == 4 and all(isinstance(side, int | float) for side in box)
    return numbers and all(map(is_finite, box)) and min(box[2:]) >= 0
