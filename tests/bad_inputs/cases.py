"""The table of bad inputs."""

from . import annotations, checkpoints, commands, configs, datasets, environments, images, mismatches

CATEGORIES = (configs, checkpoints, datasets, images, annotations, mismatches, commands, environments)
CASES = [case for module in CATEGORIES for case in module.CASES]
