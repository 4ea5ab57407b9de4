import copy
import json

import pytest
from mmdet.datasets import CocoDataset

from shake_mm.checks.annotations import CheckedCOCO, check_coco
from shake_mm.errors import UsageError
from tests.bad_inputs.site import coco


def test_what_mmdet_leaves_out_by_design_passes(tmp_path, monkeypatch):
    monkeypatch.setattr(CocoDataset, 'COCOAPI', CheckedCOCO)

    def boxes(content):
        """How many of each image mmdet's own data set reads through the checks."""
        (tmp_path / 'a.json').write_text(json.dumps(content))
        classes = dict(classes=['thing0', 'thing1', 'thing2'])
        data = CocoDataset(ann_file=str(tmp_path / 'a.json'), data_prefix=dict(img=''), metainfo=classes)
        return [len(data.get_data_info(i)['instances']) for i in range(2)]

    content = coco()
    assert boxes(content) == [2, 2]
    content['annotations'][0]['bbox'] = [8, 6, 0.0, 24]  # COCO itself has boxes without width
    assert boxes(content) == [1, 2]
    del content['annotations']  # a set without ground truth, such as test-dev
    assert boxes(content) == [0, 0]


def test_the_index_is_mmdets(tmp_path):
    file = tmp_path / 'a.json'
    file.write_text(repr(coco()).replace("'", '"'))
    reader = CheckedCOCO(str(file))
    assert reader.get_cat_ids(cat_names=['thing3', 'thing1']) == [1, 3]
    assert reader.get_ann_ids(img_ids=[1]) == [3, 4]
    with pytest.raises(UsageError, match="no category 'cat', it has thing0, .*: set `metainfo.classes`"):
        reader.get_cat_ids(cat_names=['thing1', 'cat'])


def test_the_entry_is_named():
    content = copy.deepcopy(coco())
    content['annotations'][2]['bbox'][3] = float('inf')
    with pytest.raises(UsageError, match='a.json: annotation 3 has the bbox'):
        check_coco(content, 'a.json')
