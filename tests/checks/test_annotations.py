import copy

import pytest

from shake_mm.checks.annotations import CheckedCOCO, check_coco
from shake_mm.errors import UsageError
from tests.bad_inputs.site import coco


def test_what_mmdet_leaves_out_by_design_passes():
    content = coco()
    content['annotations'][0]['bbox'] = [8, 6, 0.0, 24]  # COCO itself has boxes without width
    check_coco(content, 'a.json')
    del content['annotations']  # a set without ground truth, such as test-dev
    check_coco(content, 'a.json')


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
