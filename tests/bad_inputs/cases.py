"""The table of bad inputs."""

from . import annotations, checkpoints, commands, configs, datasets, environments, images, mismatches, values

CATEGORIES = (configs, checkpoints, datasets, images, annotations, mismatches, commands, environments, values)
CASES = [case for module in CATEGORIES for case in module.CASES]
