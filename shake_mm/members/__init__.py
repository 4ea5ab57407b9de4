"""Members: the networks of a distiller, how they are configured, loaded and, for teachers, kept frozen."""

from .build import build_members
from .cached import CachedMember, check_cacheable
from .checkpoint import load_strictly, read_checkpoint, read_weights, weights_in
from .classes import names_in
from .exchange import Group, make_group
from .fitting import check_fits, fit_student_state, state_within
from .frozen import FrozenMember
from .inference import Inference
from .members import Members
from .naming import mend_for
from .normalization import Normalization, normalization, normalization_before
from .shared import SharedMember, share_teachers
from .spec import MemberSpec
from .view import TeacherView

__all__ = [
    'CachedMember',
    'FrozenMember',
    'Group',
    'Inference',
    'MemberSpec',
    'Members',
    'Normalization',
    'SharedMember',
    'TeacherView',
    'build_members',
    'check_cacheable',
    'check_fits',
    'fit_student_state',
    'load_strictly',
    'make_group',
    'mend_for',
    'names_in',
    'normalization',
    'normalization_before',
    'read_checkpoint',
    'read_weights',
    'share_teachers',
    'state_within',
    'weights_in',
]
