from analysis import paper

PAIRS = [
    'wrn-40-2_wrn-16-2',
    'wrn-40-2_wrn-40-1',
    'resnet110_resnet20',
    'resnet110_resnet32',
    'resnet32x4_resnet8x4',
    'vgg13_vgg8',
    'resnet50_mobilenetv2',
    'resnet32x4_shufflev1',
    'resnet32x4_shufflev2',
]
METHODS = (
    'teacher baseline fitnets at sp cc vid rkd pkt ab ft nst crd crd-kd kd-crd kd-dagger dml dml-dagger shake '
    'shake-fitnets shake-crd'
)


def test_table4_has_the_names_of_configs():
    table = paper.table4()
    assert list(table) == METHODS.split()
    assert all(list(row) == PAIRS for row in table.values())


def test_table4_figures():
    """Typed from the paper's table, one from each column and the ends of its rows."""
    table = paper.table4()
    assert table['teacher']['wrn-40-2_wrn-16-2'] == 75.61
    assert table['baseline']['resnet110_resnet20'] == 69.06
    assert table['at']['resnet50_mobilenetv2'] == 58.58
    assert table['crd-kd']['resnet32x4_shufflev2'] == 76.05
    assert table['kd-crd']['resnet110_resnet20'] == 70.67
    assert table['kd-dagger']['resnet110_resnet32'] == 73.35
    assert table['dml-dagger']['vgg13_vgg8'] == 72.86
    assert table['shake']['resnet32x4_resnet8x4'] == 77.95
    assert table['shake-fitnets']['wrn-40-2_wrn-40-1'] == 75.73
    assert table['shake-crd']['resnet32x4_shufflev1'] == 77.86


def test_table1():
    table = paper.table1()
    assert list(table) == ['resnet110_resnet20', 'wrn-40-2_wrn-16-2', 'vgg13_vgg8']
    assert table['resnet110_resnet20']['kd-crd'] == {'time': 6036, 's_top1': 70.66, 't_top1': 74.31, 'ts_gap': 1.12}
    assert table['wrn-40-2_wrn-16-2']['shake'] == {'time': 4278, 's_top1': 76.82, 't_top1': 76.78, 'ts_gap': 0.26}
    assert table['vgg13_vgg8']['kd-dagger-60']['time'] == 3070
    assert table['vgg13_vgg8']['baseline']['ts_gap'] is None


def test_everything_else_is_at_hand():
    figures = paper.figures()
    assert figures['supplement']['table5']['vgg16'] == [73.81, 75.95, 76.89]
    assert figures['main']['table4_coco']['retinanet']['shake'] == [37.35, 50.35, 40.88, 21.61]


def test_coco():
    found = paper.coco()
    methods = ['teacher', 'baseline', 'kd', 'review', 'shake', 'shake-review']
    assert [list(rows) for rows in found.values()] == [methods, methods]
    assert found['faster-rcnn']['teacher'] == {'AP': 42.04, 'AP_L': 54.60, 'AP_M': 45.55, 'AP_S': 25.22}
    assert found['retinanet']['baseline']['AP'] == 36.15 and found['retinanet']['shake-review']['AP_S'] == 23.55
