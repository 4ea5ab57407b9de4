"""Adaptive weights of several teachers: the solver, every term and gradient of SHAKE and KD, and runs."""

import sys

import numpy as np
import pytest
import torch
from scipy.optimize import minimize
from torch import nn

from shake_mm.engine import Taps
from shake_mm.engine.expand import expand_terms
from shake_mm.engine.weighting import Group, adaptive_groups, cap_of, gram_of, min_norm_weights, weigh
from shake_mm.errors import UsageError
from shake_mm.registry import MODELS

from ..runs import run_config, train
from .gloo_gradients import main
from .test_distributed import WORKER, free_port, launch, teachers  # noqa: F401
