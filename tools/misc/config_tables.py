"""What :mod:`make_configs` combines: networks, pairs, methods, forms of SHAKE, augmentations, detectors."""

from pathlib import Path
from typing import NamedTuple

import yaml


class Network(NamedTuple):
    """A network that is trained alone: a teacher, or the student's run in a pair.

    Args:
        model (str): Its file below ``_base_/models``.
        light (bool): Whether the benchmark trains it at a learning rate of 0.01.
        body (tuple[str, ...]): What AB initializes of it: all that its stages' features depend on.
    """

    model: str
    light: bool = False
    body: tuple[str, ...] = ('student.backbone',)

    @property
    def slow_paraphraser(self) -> bool:
        """Whether FT trains the paraphraser at a fifth of the rate: at 0.01 but for VGG students, as the benchmark."""
        return not self.light and 'vgg' not in self.model


SHUFFLE_BODY = tuple(f'student.backbone.{part}' for part in ('conv1', 'bn1', 'layer1', 'layer2', 'layer3'))
CRD_NETWORKS = {
    **{name: Network(f'crd/{name}') for name in ('resnet20', 'resnet32', 'resnet110', 'resnet8x4', 'resnet32x4')},
    **{name: Network(f'crd/{name.replace("-", "_")}') for name in ('wrn-16-2', 'wrn-40-1', 'wrn-40-2')},
    **{name: Network(f'crd/{name}') for name in ('vgg8', 'vgg13')},
    'resnet50': Network('crd/ResNet50'),
    'mobilenetv2': Network('crd/MobileNetV2', True, ('student.backbone.conv1', 'student.backbone.blocks')),
    'shufflev1': Network('crd/ShuffleV1', True),
    'shufflev2': Network('crd/ShuffleV2', True, SHUFFLE_BODY),
}
DIGIT_NETWORKS = {
    'resnet14': Network('digits/resnet14'),
    'resnet8': Network('digits/resnet8_half'),
    'shufflev2': Network('digits/shufflev2_tiny', body=SHUFFLE_BODY),
}
DIGIT_PAIRS = [('resnet14', 'resnet8'), ('resnet14', 'shufflev2')]
TABLE_PAIRS = [
    ('wrn-40-2', 'wrn-16-2'),
    ('wrn-40-2', 'wrn-40-1'),
    ('resnet110', 'resnet20'),
    ('resnet110', 'resnet32'),
    ('resnet32x4', 'resnet8x4'),
    ('vgg13', 'vgg8'),
    ('resnet50', 'mobilenetv2'),
    ('resnet32x4', 'shufflev1'),
    ('resnet32x4', 'shufflev2'),
]


class Data(NamedTuple):
    """A data set with its schedule.

    Args:
        dataset (str): Below ``_base_/datasets``.
        schedule (str): Below ``_base_/schedules``.
        epochs (int): Of the schedule.
        networks (dict[str, Network]): By the name that files have.
        pairs (list): Teacher and student by name.
        cells (bool): Whether every method has a config on every pair.
    """

    dataset: str
    schedule: str
    epochs: int
    networks: dict[str, Network]
    pairs: list[tuple[str, str]]
    cells: bool = True


DATA = {
    'cifar100': Data('cifar100_bs64', 'cifar100_crd', 240, CRD_NETWORKS, TABLE_PAIRS),
    'digits100': Data('digits100_bs64', 'digits100', 20, DIGIT_NETWORKS, DIGIT_PAIRS),
    # The benchmark's own networks on digits: any cell of CIFAR-100 runs on them once its pair's file is exchanged.
    'digits100-32px': Data('digits100_32px_bs64', 'digits100', 20, CRD_NETWORKS, TABLE_PAIRS, cells=False),
}


class Method(NamedTuple):
    """A row of the tables.

    Args:
        says (str): First line of its configs, a comment.
        type (str): The distiller.
        base (str): File below ``_base_/methods`` whose ``terms`` it has, or none.
        extra (tuple[str, ...]): Further arguments of the model, as they are written.
        variants (dict): The file instead of ``base`` for some pairs, where a method's authors chose weights by pair.
        scratch (bool): Whether the teachers train along from scratch.
        contrast (bool): Whether the data set must name contrasting samples.
        init (str): ``'ab'`` or ``'ft'`` where the method begins with a stage of its own.
        taught (bool): Whether it has teachers.
    """

    says: str
    type: str = 'Distiller'
    base: str = ''
    extra: tuple[str, ...] = ()
    variants: dict[tuple[str, str], str] = {}
    scratch: bool = False
    contrast: bool = False
    init: str = ''
    taught: bool = True


# As the methods' authors chose them; where they give none (ResNet-110 to ResNet-20), as for the most similar pair.
DKD_BETAS = {
    **{pair: 'dkd_b6' for pair in (('wrn-40-2', 'wrn-16-2'), ('wrn-40-2', 'wrn-40-1'), ('vgg13', 'vgg8'))},
    **{pair: 'dkd_b2' for pair in (('resnet110', 'resnet20'), ('resnet110', 'resnet32'))},
    **{pair: 'dkd_warmup2' for pair in DIGIT_PAIRS},
}
REVIEW_WEIGHTS = {
    **{pair: 'review_w1' for pair in (('resnet110', 'resnet20'), ('resnet110', 'resnet32'))},
    **{pair: 'review_w8' for pair in (('resnet50', 'mobilenetv2'), ('resnet32x4', 'shufflev2'))},
    **{pair: 'review_warmup2' for pair in DIGIT_PAIRS},
}

METHODS = {
    'baseline': Method(
        'The student alone, run by the same engine, so that its gap to the teacher is reported too.', 'Baseline'
    ),
    'fitnets': Method('', base='fitnets'),
    'at': Method('', base='at'),
    'sp': Method('', base='sp'),
    'cc': Method('', base='cc'),
    'vid': Method('', base='vid'),
    'rkd': Method('', base='rkd'),
    'pkt': Method('', base='pkt'),
    'ab': Method('', base='ab', init='ab'),
    'ft': Method('', base='ft', extra=('connectors=_base_.connectors',), init='ft'),
    'nst': Method('', base='nst'),
    'crd': Method('', base='crd', contrast=True),
    'crd-kd': Method('CRD beside KD with its full cross-entropy.', 'KD', 'crd', contrast=True),
    'kd-crd': Method(
        "KD with the CRD benchmark's weights, as in Table 4: 0.1 CE + 0.9 KL.", 'KD', extra=('alpha=0.1', 'lam=0.9')
    ),
    'kd': Method('', 'KD'),
    'kd-dagger': Method(
        'KD†, reversed distillation: the trained teacher is trained on, and learns from the student.', 'DML'
    ),
    'dml': Method("The teacher's network trains along from scratch.", 'DML', scratch=True),
    'dml-dagger': Method(
        'DML†: the teacher, which trains along, does not learn from the student.',
        'DML',
        extra=('terms=dict(teacher_from_student=None)',),
        scratch=True,
    ),
    'shake': Method('', 'SHAKE'),
    'shake-fitnets': Method('', 'SHAKE', 'fitnets'),
    'shake-crd': Method('', 'SHAKE', 'crd', contrast=True),
    'dkd': Method('', base='dkd', variants=DKD_BETAS),
    'dist': Method('', base='dist'),
    'review': Method('', base='review', variants=REVIEW_WEIGHTS),
}
"""Name in files: what it is. The rows of Table 4, Eq. 1's KD, and what came later."""

TRUTH = "proxy_task=dict(of='proxy*.logits', loss=dict(type='mmpretrain.CrossEntropyLoss'))"
MIMIC = "proxy_from_teacher=dict(loss=dict(type='{}'))"
STUDENT_ALONE = "terms=['task', 'student_from_teacher'], train=['student']"

AEKD = ("weighting='aekd'",)
ONE_HEAD = ("proxies=[dict(type='ShadowHead')]",)

FORMS = {
    # Table 1
    'kd-dagger-head': Method(
        'KD† (head): of the teacher only the classifier is trained on.',
        'DML',
        extra=("stages=[dict(train=['student', 'peers.teacher0.head'])]",),
    ),
    'kd-dagger-60': Method(
        'KD† (60): the teacher is trained on for a quarter of the epochs, 60 of 240, and frozen from then on.',
        'DML',
        extra=('stages=[dict(until={quarter}), dict(' + STUDENT_ALONE + ')]',),
    ),
    'shake-alone': Method(
        'The proxy is a network of its own, of the architecture of the student.',
        'SHAKE',
        extra=("proxies=dict(type='ShadowNetwork')",),
    ),
    # Table 2: how the proxy learns from the teacher, each with and without the labels
    'shake-ce': Method(
        'The proxy learns from the teacher by cross-entropy.',
        'SHAKE',
        extra=(f'terms=dict({MIMIC.format("SoftCELoss")})',),
    ),
    'shake-l2': Method(
        'The proxy learns from the teacher by the squared error of the logits.',
        'SHAKE',
        extra=(f'terms=dict({MIMIC.format("MSELoss")})',),
    ),
    'shake-gt': Method('The proxy learns from the labels too.', 'SHAKE', extra=(f'terms=dict({TRUTH})',)),
    'shake-ce-gt': Method(
        'The proxy learns from the teacher by cross-entropy, and from the labels.',
        'SHAKE',
        extra=(f'terms=dict({MIMIC.format("SoftCELoss")}, {TRUTH})',),
    ),
    'shake-l2-gt': Method(
        'The proxy learns from the teacher by the squared error of the logits, and from the labels.',
        'SHAKE',
        extra=(f'terms=dict({MIMIC.format("MSELoss")}, {TRUTH})',),
    ),
    # Table 3: what the proxy shares with the student
    'shake-sbn': Method(
        "The proxy runs the student's convolutions with BatchNorm of its own (S-BN).",
        'SHAKE',
        extra=("proxies=dict(type='ShadowSubnet')",),
    ),
    'shake-sbn-w75': Method(
        'S-BN on the first 75 % of the channels.', 'SHAKE', extra=("proxies=dict(type='ShadowSubnet', width=0.75)",)
    ),
    'shake-sbn-w50': Method(
        'S-BN on the first 50 % of the channels.', 'SHAKE', extra=("proxies=dict(type='ShadowSubnet', width=0.5)",)
    ),
    # Table 5 of the main paper: what is exchanged
    'shake-wo-reversed': Method(
        'Without reversed distillation: the proxy does not learn from the student.',
        'SHAKE',
        extra=('terms=dict(proxy_from_student=None)',),
    ),
    'shake-wo-teacher': Method(
        'Without the pre-trained teacher: the proxy learns from the labels in its place.',
        'SHAKE',
        extra=(f'terms=dict(proxy_from_teacher=None, {TRUTH})',),
    ),
    'shake-t2s': Method(
        'The student learns from the teacher directly, too.',
        'SHAKE',
        extra=("terms=dict(student_from_teacher=dict(of='student.logits', to='teacher*.logits', loss=dict(tau=4.0)))",),
    ),
    'shake-stronger': Method(
        'The shadow head has two convolutions of its own before the pooling.',
        'SHAKE',
        extra=("proxies=dict(type='ShadowHead', source='student.backbone', neck=dict(type='ShadowNeck'))",),
    ),
    # The authors' release
    'shake-fusion': Method(
        "The variant that the authors released: the proxy fuses the teacher's features, all logits are normalized.",
        'Distiller',
        'shake_release',
        extra=("proxies=dict(type='TeacherFusion')",),
    ),
}
"""Forms of SHAKE and of what it is compared with, each on the pairs of :data:`FORM_PAIRS`."""

FORM_PAIRS = {
    'cifar100': [('resnet110', 'resnet20'), ('wrn-40-2', 'wrn-16-2'), ('vgg13', 'vgg8')],
    'digits100': DIGIT_PAIRS[:1],
}
"""The pairs of Tables 1, 2, 3 and the main paper's Table 5, by data."""

TABLE6_PAIRS = {'cifar100': [('resnet110', 'resnet32'), ('wrn-40-2', 'wrn-16-2')], 'digits100': DIGIT_PAIRS[:1]}
ALPHA = Method(
    "AlphaNet's adaptive α-divergence in place of KL.", 'SHAKE', extra=("divergence=dict(type='AlphaDivLoss')",)
)


class Augment(NamedTuple):
    """What is done to the images, or to the student, beside a method.

    Args:
        says (str): First line of its configs, a comment.
        lines (str): What the config sets.
        methods (tuple[str, ...]): The methods beside which it stands.
        pairs (dict[str, list]): The pairs that have it, by data.
        by_data (bool): Whether the base file for digits is another one than CIFAR's.
        cifar (str): End of the name of the base file for CIFAR.
    """

    says: str
    lines: str
    methods: tuple[str, ...] = ('shake',)
    pairs: dict[str, list[tuple[str, str]]] = TABLE6_PAIRS
    by_data: bool = True
    cifar: str = ''


IN_PIPELINE = """pipeline = [*_base_.train_pipeline[:-1], *_base_.augment, _base_.train_pipeline[-1]]
train_dataloader = dict(dataset=dict(pipeline=pipeline))"""
MIXED_PAIRS = {
    'cifar100': [pair for pair in TABLE_PAIRS if pair[0] != 'resnet110'],
    'digits100': DIGIT_PAIRS[:1],
}
IN_BATCH = ('model = dict(student=_base_.student)', ('kd', 'shake'), MIXED_PAIRS, False)
AUGMENTS = {
    'cutout': Augment('Cutout: a hole in every image.', IN_PIPELINE),
    'autoaugment': Augment("AutoAugment's policy for CIFAR.", IN_PIPELINE, cifar='_cifar'),
    'dropblock': Augment(
        "DropBlock in the student's last two stages.", 'custom_hooks = [*_base_.custom_hooks, _base_.drop_block]'
    ),
    'mixup': Augment('Mixup of every batch.', *IN_BATCH),
    'cutmix': Augment('CutMix of every batch.', *IN_BATCH),
}
"""Table 6, and Mixup and CutMix on the pairs of the main paper's Table 2."""

SEVERAL = {
    'baseline': METHODS['baseline'],
    'kd': Method('The mean of the teachers (AVER).', 'KD'),
    'kd-aekd': Method('The teachers weighed by their gradients, batch by batch (AEKD).', 'KD', extra=AEKD),
    'shake-one-head': Method('One shadow head for all teachers.', 'SHAKE', 'shake_one_head', extra=ONE_HEAD),
    'shake': Method('A shadow head for every teacher (Eq. 6), the mean of them (AVER).', 'SHAKE'),
    'shake-aekd': Method('A shadow head for every teacher, weighed by their gradients (AEKD).', 'SHAKE', extra=AEKD),
}
"""Methods on several teachers of one architecture, which differ by their seeds."""

SEVERAL_PAIRS = {
    'cifar100': [('2xresnet110', 'resnet20'), ('2xwrn-40-2', 'wrn-16-2'), ('2xvgg13', 'vgg8')],
    'digits100': [('3xresnet14', 'resnet8')],
}
"""``3xresnet14`` are three teachers ResNet-14."""

COCO_PAIRS = [('retinanet-r101', 'retinanet-r50'), ('faster-rcnn-r101', 'faster-rcnn-r50')]
# One-stage and two-stage detectors have weights of their own.
PKD_WEIGHTS = {COCO_PAIRS[0]: 'pkd_det_w10'}
MGD_WEIGHTS = {COCO_PAIRS[1]: 'mgd_det_two_stage'}

DETECTION = {
    '2x_coco': (
        COCO_PAIRS,
        {
            'baseline': Method('The student alone, run by the same engine.', 'Baseline', taught=False),
            'kd': Method('', 'KD'),
            'review': Method('', base='review_det'),
            'cwd': Method('', base='cwd_det'),
            'pkd': Method('', base='pkd_det', variants=PKD_WEIGHTS),
            'mgd': Method('', base='mgd_det', variants=MGD_WEIGHTS),
            'shake': Method('', 'SHAKE'),
            'shake-review': Method('', 'SHAKE', 'review_det'),
            'shake-pkd': Method('', 'SHAKE', 'pkd_det', variants=PKD_WEIGHTS),
        },
    ),
}
"""Data and schedule: pairs of detectors, whose files are written by hand, and the methods that each has a config of."""


class Paper(NamedTuple):
    """What a folder's metafile says of its method."""

    name: str
    title: str = ''
    url: str = ''
    code: str = 'shake_mm/losses'


PAPERS = {
    folder: Paper(**about)
    for folder, about in yaml.safe_load(Path(__file__).with_name('papers.yaml').read_text(encoding='utf-8')).items()
}
"""By method folder."""
