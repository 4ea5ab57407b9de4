"""The table of bad inputs."""

from . import (
    annotations,
    checkpoints,
    commands,
    configs,
    datasets,
    deployments,
    environments,
    images,
    methods,
    mismatches,
    outputs,
    real_runs,
    resumes,
    searches,
    slips,
    values,
)

CATEGORIES = (
    configs,
    checkpoints,
    datasets,
    images,
    annotations,
    mismatches,
    methods,
    commands,
    searches,
    environments,
    values,
    resumes,
    outputs,
    real_runs,
    slips,
    deployments,
)
CASES = [case for module in CATEGORIES for case in module.CASES]
