"""Members: the networks of a distiller, how they are configured, loaded and, for teachers, kept frozen."""

from .checkpoint import load_strictly, read_checkpoint, read_weights, weights_in
from .frozen import FrozenMember
from .spec import MemberSpec
from .view import TeacherView

__all__ = [
    'FrozenMember',
    'MemberSpec',
    'TeacherView',
    'load_strictly',
    'read_checkpoint',
    'read_weights',
    'weights_in',
]
