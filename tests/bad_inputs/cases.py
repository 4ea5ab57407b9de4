"""The table of bad inputs."""

from . import annotations, checkpoints, commands, configs, datasets, environments, images, mismatches, resumes, values

CATEGORIES = (configs, checkpoints, datasets, images, annotations, mismatches, commands, environments, values, resumes)
CASES = [case for module in CATEGORIES for case in module.CASES]
