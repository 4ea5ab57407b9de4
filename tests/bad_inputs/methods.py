"""Bad inputs: methods with one thing changed, on networks that they do not go with."""

from mmengine.config import Config

from shake_mm.compat import configs_dir
from shake_mm.registry import MODELS

from .case import Case
from .site import Site, retinanet


def _changed(name: str, part: str, key: str, value: object):
    """A method on a detector and a frozen one, with one thing changed."""

    def prepare(site: Site) -> list[str]:
        method = Config.fromfile(f'{configs_dir()}/_base_/methods/{name}.py').method.to_dict()
        kind, entry = part.split('.')
        method[kind][entry][key] = value
        weights = site.save(MODELS.build(retinanet()).state_dict(), 'teacher.pth')
        teacher = dict(config=retinanet(), checkpoint=weights)
        return site.scenes(model=dict(student=retinanet(), teachers=[teacher], **method))

    return prepare


def _method(name: str, student: dict, **spec: object):
    """A method's file on a detector that is its own teacher."""

    def prepare(site: Site) -> list[str]:
        method = Config.fromfile(f'{configs_dir()}/_base_/methods/{name}.py').method.to_dict()
        return site.scenes(model=dict(student=student, teachers=[dict(config=student, **spec)], **method))

    return prepare


CASES = [
    Case(
        'mismatch',
        'LD of boxes without distributions',
        _method('ld', retinanet(), trainable=True),
        'student.sides',
        'as the GFL family does',
    ),
    Case(
        'mismatch',
        'CrossKD by a teacher that learns',
        _method('crosskd', retinanet(), trainable=True),
        'CrossHead goes on in the layers of teacher0',
        'name taps of a frozen teacher',
    ),
    Case(
        'mismatch',
        'FreeKD without masks',
        _changed('freekd', 'terms.freekd', 'reference', None),
        'terms.freekd: FreeKDLoss: 0 masks of 3 levels',
        'let `reference` name a FrequencyPrompt',
    ),
    Case(
        'mismatch',
        'a single prompt',
        _changed('freekd', 'connectors.prompt', 'prompts', 1),
        'connectors.prompt: FrequencyPrompt: prompts=1',
        'needs 2 prompts',
    ),
    Case(
        'mismatch',
        'prompted levels without their masks',
        _changed('freekd', 'connectors.prompted', 'source', ['teacher0.f*']),
        'connectors.prompted: PromptedPyramid',
        "['connectors.prompt', 'teacher0.f*']",
    ),
    Case(
        'mismatch',
        'MasKD without masks',
        _changed('maskd', 'terms.maskd', 'reference', None),
        'terms.maskd: MasKDLoss',
        'let `reference` name a ReceptiveTokens',
    ),
    Case(
        'mismatch',
        'the own loss of the student as a term',
        _changed('maskd', 'terms.detects', 'of', ['student.f*']),
        'OwnLoss goes on in the layers of student',
        '`source` ends in taps of a frozen teacher',
    ),
    Case(
        'mismatch',
        'connectors that read each other',
        _changed('maskd', 'connectors.tokens', 'source', ['connectors.masked']),
        'connectors.tokens: what it reads depends on it',
        'let `source` name other taps',
    ),
]
