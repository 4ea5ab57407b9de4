"""The table of bad inputs."""

from . import (
    annotations,
    checkpoints,
    commands,
    configs,
    datasets,
    environments,
    images,
    mismatches,
    outputs,
    resumes,
    values,
)

CATEGORIES = (
    configs,
    checkpoints,
    datasets,
    images,
    annotations,
    mismatches,
    commands,
    environments,
    values,
    resumes,
    outputs,
)
CASES = [case for module in CATEGORIES for case in module.CASES]
