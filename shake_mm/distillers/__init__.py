"""Methods: each is the engine with a default set of proxies and terms, nothing else."""

from ..engine import Distiller
from .baseline import Baseline
from .dml import DML
from .kd import KD
from .shake import SHAKE

__all__ = ['DML', 'KD', 'SHAKE', 'Baseline', 'Distiller']
