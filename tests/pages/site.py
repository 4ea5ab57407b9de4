"""What a reader of the pages has: a student, a trained teacher, and a folder for a config."""

import torch
from mmengine.config import Config

from shake_mm.registry import MODELS

from ..conftest import classifier


class Site:
    """A folder with ``my_student.py``, ``my_teacher.py`` and the teacher's weights."""

    def __init__(self, folder, student=None, teacher=None):
        self.folder, self.student, self.teacher = folder, student or classifier(6), teacher or classifier(8)
        for name, model in (('student', self.student), ('teacher', self.teacher), ('other_teacher', self.teacher)):
            stem = name if name.startswith('other') else f'my_{name}'
            self.write(f'{stem}.py', f'model = {model}\n')
            torch.save({'state_dict': MODELS.build(dict(model)).state_dict()}, folder / f'{stem}.pth')

    def write(self, name, text):
        (self.folder / name).write_text(text)
        return self.folder / name

    def load(self, text):
        return Config.fromfile(self.write('my_config.py', text))

    def distiller(self, **changes):
        """SHAKE of both, or what a page makes of it."""
        teachers = dict(config='my_teacher.py', checkpoint='my_teacher.pth')
        return MODELS.build(dict(type='shake_mm.SHAKE', student=self.student, teachers=teachers) | changes)


def run(text, **names):
    """The names that a block sets."""
    scope = dict(names)
    exec(text, scope)
    return {name: value for name, value in scope.items() if name not in ('__builtins__', *names)}
