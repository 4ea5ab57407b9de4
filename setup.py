"""Build script; static settings are in pyproject.toml."""

import os
import re
import shutil
from pathlib import Path

from setuptools import find_packages, setup
from setuptools.command.build_py import build_py

ROOT = Path(__file__).resolve().parent
MIM_PARTS = ('configs', 'tools', 'model-index.yml')
PAPER = 'https://openreview.net/forum?id=prQT0gN81oG'
MIM_TOOLS = (
    'cache_teacher.py',
    'dataset_prepare.py',
    'deploy.py',
    'dist_test.sh',
    'dist_train.sh',
    'export_student.py',
    'misc/print_config.py',
    'misc/taps.py',
    'report.py',
    'run_grid.py',
    'slurm_test.sh',
    'slurm_train.sh',
    'test.py',
    'train.py',
    'tune.py',
)
"""The tools that a user of the package needs; the others belong to a checkout."""

SCRIPTS = {
    'shake-cache-teacher': 'cache_teacher',
    'shake-dataset-prepare': 'dataset_prepare',
    'shake-deploy': 'deploy',
    'shake-export': 'export_student',
    'shake-grid': 'run_grid',
    'shake-print-config': 'print_config',
    'shake-report': 'report',
    'shake-taps': 'taps',
    'shake-test': 'test',
    'shake-train': 'train',
    'shake-tune': 'tune',
}
"""Commands of a shell; ``python -m shake_mm`` has the same ones, in ``shake_mm/__main__.py``."""


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
                    (target / name).parent.mkdir(exist_ok=True)
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


def requirements(*names: str, of: tuple[str, ...] = ()) -> list[str]:
    """Read the lines of requirement files; of several packages only those, where they are named."""
    lines = [line for name in names for line in (ROOT / 'requirements' / f'{name}.txt').read_text().splitlines()]
    lines = [line.strip() for line in lines if line.strip() and not line.startswith('#')]
    return [line for line in lines if not of or re.match(r'[\w-]+', line)[0] in of]


def extras() -> dict[str, list[str]]:
    """What a user adds: the packages of a task, by OpenMMLab or by OneDL, and of other libraries' models and files.

    mmengine and mmcv are in no wheel's own requirements, since OneDL's distributions carry modules of the same names.
    """
    core = ('mmengine', 'mmcv')
    onedl = tuple(f'onedl-{name}' for name in core)
    own = {
        'cls': requirements('mminstall', of=(*core, 'mmpretrain')),
        'cls-lite': requirements('lite'),
        'det': requirements('mminstall', of=(*core, 'mmdet')),
        'seg': requirements('mminstall', of=core) + requirements('interop', of=('mmsegmentation', 'ftfy', 'regex')),
        'onedl-cls': requirements('onedl', of=(*onedl, 'onedl-mmpretrain')),
        'onedl-det': requirements('onedl', of=(*onedl, 'onedl-mmdetection')),
        'onedl-seg': requirements('onedl', of=(*onedl, 'onedl-mmsegmentation', 'ftfy', 'regex')),
        'optional': requirements('optional'),
        'deploy': requirements('deploy'),
        'safetensors': requirements('interop', of=('safetensors',)),
        'timm': requirements('interop', of=('timm',)),
        'transformers': requirements('interop', of=('transformers',)),
        'tests': requirements('tests'),
    }
    everything = ('cls', 'det', 'seg', 'optional', 'safetensors', 'timm', 'transformers', 'deploy')
    return {**own, 'all': sorted({line for name in everything for line in own[name]}), 'mim': requirements('mminstall')}


def package_version() -> str:
    """Read the version without importing the package."""
    scope: dict[str, str] = {}
    exec((ROOT / 'shake_mm' / 'version.py').read_text(), scope)
    return scope['__version__']


setup(
    name='shake_mm',
    version=package_version(),
    description='SHAKE knowledge distillation for OpenMMLab',
    url=PAPER,
    project_urls={'Paper': PAPER},
    author='The shake_mm authors',
    long_description=(ROOT / 'README.md').read_text(encoding='utf-8') if (ROOT / 'README.md').exists() else '',
    long_description_content_type='text/markdown',
    license='Apache-2.0',
    license_files=['LICENSE'],
    classifiers=[
        'Development Status :: 4 - Beta',
        'Intended Audience :: Science/Research',
        'Operating System :: POSIX :: Linux',
        'Programming Language :: Python :: 3',
        *(f'Programming Language :: Python :: 3.{minor}' for minor in range(10, 14)),
        'Topic :: Scientific/Engineering :: Artificial Intelligence',
    ],
    keywords='knowledge distillation, computer vision, OpenMMLab',
    packages=find_packages(include=['shake_mm', 'shake_mm.*']),
    include_package_data=False,
    python_requires='>=3.10,<3.14',
    install_requires=requirements('runtime'),
    extras_require=extras(),
    entry_points={'console_scripts': [f'{name} = shake_mm.__main__:{run}' for name, run in SCRIPTS.items()]},
    cmdclass={'build_py': BuildWithMim},
    package_data={'shake_mm': ['py.typed']},
    zip_safe=False,
)
