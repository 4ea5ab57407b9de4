"""Bad inputs: teachers that cannot be the student's."""

from .case import Case
from .site import Site, classifier_of, retinanet, weights_of

TEACHER = 'model.teachers.0'
ANCHORS = dict(type='AnchorGenerator', octave_base_scale=3, scales_per_octave=1, ratios=[1.0], strides=[4, 8, 16])


def _term(**term: object):
    """One more term."""
    return lambda site: site.kd({'model.terms': dict(x=term)})


def _other(model: dict, **weights: object):
    """Another teacher, with its weights."""

    def prepare(site: Site) -> list[str]:
        path = site.write('other.pth', weights_of(**weights))
        return site.kd({f'{TEACHER}.config': model, f'{TEACHER}.checkpoint': path})

    return prepare


def _unknown(**task: object):
    """A student of no known task, and what the config says of it."""
    student = dict(type='shake_mm.PlainModel', network=classifier_of(), loss=dict(type='torch.nn.CrossEntropyLoss'))
    student['data_preprocessor'] = classifier_of()['data_preprocessor']
    changes = {'model.task': dict(type='shake_mm.GenericTask', **task)} if task else {}
    changes[f'{TEACHER}.taps'] = dict(logits='head')
    return lambda site: site.kd({'model.student': student, **changes})


def _detector_for_classifier(site: Site) -> list[str]:
    return site.kd({TEACHER: dict(config=retinanet(), trainable=True)})


def _classifier_for_detector(site: Site) -> list[str]:
    model = dict(
        type='shake_mm.KD',
        student=retinanet(),
        teachers=[dict(config=classifier_of(classes=5), trainable=True)],
    )
    return site.scenes(model=model)


def _pyramid(site: Site) -> list[str]:
    teacher = retinanet(classes=5)
    teacher['neck']['num_outs'] = 4
    teacher['bbox_head']['anchor_generator'] = dict(ANCHORS, strides=[4, 8, 16, 32])
    return site.detection_kd(teacher)


CASES = [
    Case(
        'mismatch',
        'other classes',
        _other(classifier_of(8, 10), channels=8, classes=10),
        'teacher0 has 10 classes',
        'set both',
    ),
    Case(
        'mismatch', 'weights of a wider network', _other(classifier_of(8), channels=6), 'other.pth', 'give the config'
    ),
    Case('mismatch', 'no weights', lambda s: s.kd({TEACHER: classifier_of(8)}), 'teacher0', 'give `checkpoint`'),
    Case(
        'mismatch',
        'a map read as tokens',
        _term(of='student.f2', to='teacher0.f2', to_connector=dict(type='TokenMap'), loss=dict(type='CosineLoss')),
        'TokenMap',
        'tap a block of a vision transformer',
    ),
    Case(
        'mismatch',
        'directions of other channels',
        _term(of='student.f2', to='teacher0.f2', loss=dict(type='CosineLoss')),
        'CosineLoss',
        'ProjectMap',
    ),
    Case('mismatch', 'logits of a model that no task knows', _unknown(), 'PlainModel', 'name it'),
    Case('mismatch', 'logits that are no layer', _unknown(logits='network.hed'), 'network.hed', 'name another'),
    Case('mismatch', 'logits that nobody can compare', _unknown(logits='network.head'), 'student', 'divergence=dict('),
    Case('mismatch', 'a task that is none', lambda s: s.kd({'model.task': 'pose'}), 'task', 'it must be a config'),
    Case(
        'mismatch', 'a detector for a classifier', _detector_for_classifier, 'teacher0', 'give an mmpretrain classifier'
    ),
    Case('mismatch', 'a classifier for a detector', _classifier_for_detector, 'teacher0', 'give an mmdet detector'),
    Case(
        'mismatch',
        'unknown key of a teacher',
        lambda s: s.kd({f'{TEACHER}.checkpont': 'a'}),
        'checkpont',
        'did you mean checkpoint',
    ),
    Case(
        'mismatch',
        'a config file that does not exist',
        lambda s: s.kd({f'{TEACHER}.config': 'teacher.py'}),
        'teacher.py',
        'correct',
    ),
    Case(
        'mismatch',
        'a student with weights of a teacher',
        lambda s: s.kd({'model.student': dict(config=classifier_of(), checkpoint='teacher.pth')}),
        'student',
        'load_from',
    ),
    Case('mismatch', 'a size that is none', lambda s: s.kd({f'{TEACHER}.resize': 'large'}), 'resize', 'give'),
    Case('mismatch', 'a size of zero', lambda s: s.kd({f'{TEACHER}.resize': 0}), 'resize', 'give'),
    Case(
        'mismatch',
        'a layer that does not exist',
        _term(of='student.f2', to='teacher0.layer9', loss=dict(type='ATLoss')),
        'teacher0.layer9',
        'did you mean',
    ),
    Case(
        'mismatch',
        'a member that does not exist',
        _term(of='student.f2', to='teacher1.f2', loss=dict(type='ATLoss')),
        'teacher1',
        'its members are',
    ),
    Case(
        'mismatch',
        'other channels',
        _term(of='student.f2', to='teacher0.f2', loss=dict(type='FitNetsLoss')),
        'terms.x',
        '`connector`',
    ),
    Case(
        'mismatch',
        'a map and a vector',
        _term(of='student.f2', to='teacher0.pool', loss=dict(type='ATLoss')),
        'terms.x',
        'tap a layer before the pooling',
    ),
    Case(
        'mismatch',
        'logits and features',
        _term(of='student.logits', to='teacher0.f2', loss=dict(type='KLDivLoss')),
        'terms.x',
        'same number of classes',
    ),
    Case(
        'mismatch',
        'CRD without the number of samples',
        _term(of='student.pool', to='teacher0.pool', loss=dict(type='CRDLoss')),
        'num_samples',
        'set `model.num_samples`',
    ),
    Case(
        'mismatch',
        'SHAKE without a teacher',
        lambda s: s.kd({'model.type': 'shake_mm.SHAKE', 'model.teachers': []}),
        'needs a proxy',
        'add one',
    ),
    Case(
        'mismatch',
        'more proxies than teachers',
        lambda s: s.kd({'model.type': 'shake_mm.SHAKE', 'model.proxies': [dict(type='ShadowHead')] * 2}),
        'proxy',
        'of them',
    ),
    Case(
        'mismatch',
        "a detector's shadow of a classifier",
        lambda s: s.kd(
            {'model.type': 'shake_mm.SHAKE', 'model.proxies': dict(type='ShadowTower', source='student.feats')}
        ),
        'ShadowTower',
        'ShadowHead',
    ),
    Case(
        'mismatch',
        'a cache of a teacher whose way to compute is measured',
        lambda s: s.kd({f'{TEACHER}.inference': 'auto', f'{TEACHER}.cache': str(s.path / 'cache')}),
        "inference='auto'",
        'leave one of them out',
    ),
    Case(
        'mismatch',
        'images of another size than connectors were made for',
        _term(
            of='student.backbone.conv1',
            to='teacher0.f3',
            connector=dict(type='ConvRegressor'),
            loss=dict(type='FitNetsLoss'),
        ),
        'model.input_size',
        'set it to (16, 16)',
    ),
    Case(
        'mismatch',
        'stages of two lengths',
        lambda s: s.kd(
            {
                'model.student.backbone': dict(type='ResNet_CIFAR', depth=18, stem_channels=8, base_channels=8),
                'model.student.head.in_channels': 64,
                'model.terms': dict(x=dict(of='student.f*', to='teacher0.f*', loss=dict(type='ATLoss'))),
            }
        ),
        'terms.x',
        'one by one',
    ),
    Case(
        'mismatch',
        'a detector that is resized',
        lambda s: s.detection_kd(retinanet(), resize=32),
        'teacher0',
        'remove `resize`',
    ),
    Case(
        'mismatch',
        'other anchors',
        lambda s: s.detection_kd(retinanet(anchor_generator=ANCHORS)),
        'teacher0',
        'give both detectors the same',
    ),
    Case('mismatch', 'another pyramid', _pyramid, 'strides', 'give both detectors the same'),
    Case(
        'mismatch',
        'detectors of other classes',
        lambda s: s.detection_kd(retinanet(classes=4)),
        'teacher0 has 4 classes',
        'set both',
    ),
]
