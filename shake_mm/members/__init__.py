"""Members: the networks of a distiller, how they are configured, loaded and, for teachers, kept frozen."""

from .cached import CachedMember, check_cacheable
from .checkpoint import load_strictly, read_checkpoint, read_weights, weights_in
from .frozen import FrozenMember
from .inference import Inference
from .spec import MemberSpec
from .view import TeacherView

__all__ = [
    'CachedMember',
    'FrozenMember',
    'Inference',
    'MemberSpec',
    'TeacherView',
    'check_cacheable',
    'load_strictly',
    'read_checkpoint',
    'read_weights',
    'weights_in',
]
