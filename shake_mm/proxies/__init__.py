"""Proxy teachers: what stands between a frozen teacher and the student."""

from .shadow_branch import ShadowBranch
from .shadow_head import ShadowHead
from .shadow_network import ShadowNetwork
from .shadow_subnet import ShadowSubnet
from .shadow_token import ShadowToken
from .shadow_tower import ShadowTower
from .sparse_shadow import SparseShadow
from .teacher_fusion import TeacherFusion

__all__ = [
    'ShadowBranch',
    'ShadowHead',
    'ShadowNetwork',
    'ShadowSubnet',
    'ShadowToken',
    'ShadowTower',
    'SparseShadow',
    'TeacherFusion',
]
