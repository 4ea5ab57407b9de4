"""Build script; static settings are in pyproject.toml."""

import os
import shutil
from pathlib import Path

from setuptools import find_packages, setup
from setuptools.command.build_py import build_py

ROOT = Path(__file__).resolve().parent
MIM_PARTS = ('configs', 'tools', 'model-index.yml')
MIM_TOOLS = (
    'cache_teacher.py',
    'dataset_prepare.py',
    'dist_test.sh',
    'dist_train.sh',
    'export_student.py',
    'run_grid.py',
    'slurm_test.sh',
    'slurm_train.sh',
    'test.py',
    'train.py',
)
"""The tools that a user of the package needs; the others belong to a checkout."""


class BuildWithMim(build_py):
    """Carry configs and tools inside the package as ``.mim``, where mmengine and mim look for them.

    A wheel gets copies, of the tools only ``MIM_TOOLS``; an editable installation gets links. OpenMMLab's usual
    ``add_mim_extension`` decides by ``sys.argv`` and does nothing when pip builds by PEP 517.
    """

    def run(self) -> None:
        """Build the package, then add ``.mim``."""
        super().run()
        package = ROOT / 'shake_mm' if self.editable_mode else Path(self.build_lib) / 'shake_mm'
        (package / '.mim').mkdir(parents=True, exist_ok=True)
        for part in MIM_PARTS:
            source, target = ROOT / part, package / '.mim' / part
            remove(target)
            if self.editable_mode:
                target.symlink_to(os.path.relpath(source, target.parent))
            elif part == 'tools':
                target.mkdir()
                for name in MIM_TOOLS:
                    shutil.copy(source / name, target / name)
            elif source.is_dir():
                shutil.copytree(source, target, ignore=shutil.ignore_patterns('__pycache__', '*.pyc'))
            else:
                shutil.copyfile(source, target)


def remove(path: Path) -> None:
    """Delete the result of an earlier build."""
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)


def requirements(*names: str) -> list[str]:
    """Read the lines of requirement files."""
    lines = [line for name in names for line in (ROOT / 'requirements' / f'{name}.txt').read_text().splitlines()]
    return [line.strip() for line in lines if line.strip() and not line.startswith('#')]


def package_version() -> str:
    """Read the version without importing the package."""
    scope: dict[str, str] = {}
    exec((ROOT / 'shake_mm' / 'version.py').read_text(), scope)
    return scope['__version__']


setup(
    name='shake_mm',
    version=package_version(),
    description='SHAKE knowledge distillation for OpenMMLab',
    long_description=(ROOT / 'README.md').read_text(encoding='utf-8') if (ROOT / 'README.md').exists() else '',
    long_description_content_type='text/markdown',
    license='Apache-2.0',
    license_files=['LICENSE'],
    classifiers=[
        'Development Status :: 4 - Beta',
        'Programming Language :: Python :: 3',
        'Topic :: Scientific/Engineering :: Artificial Intelligence',
    ],
    keywords='knowledge distillation, computer vision, OpenMMLab',
    packages=find_packages(include=['shake_mm', 'shake_mm.*']),
    include_package_data=False,
    python_requires='>=3.10',
    install_requires=requirements('runtime'),
    extras_require={
        'all': requirements('runtime', 'mminstall', 'optional', 'tests'),
        'mim': requirements('mminstall'),
        'optional': requirements('optional'),
        'tests': requirements('tests'),
    },
    cmdclass={'build_py': BuildWithMim},
    package_data={'shake_mm': ['py.typed']},
    zip_safe=False,
)
