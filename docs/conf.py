"""The documentation's build: ``make docs`` writes it to ``docs/_build/html``; a warning fails it."""

import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(ROOT), str(ROOT / 'docs')]

from shake_mm import __version__  # noqa: E402

project = 'shake_mm'
author = 'the authors of shake_mm'
copyright = author  # noqa: A001
release = version = __version__

extensions = [
    'repository',
    'myst_parser',
    'sphinx.ext.autodoc',
    'sphinx.ext.napoleon',
    'sphinx-mathjax-offline',  # formulas without a network
    'sphinx_copybutton',
    'sphinx_design',
]
exclude_patterns = ['_build', 'notebooks']
suppress_warnings = ['myst.header']  # pages that are written by tools begin with a comment

myst_enable_extensions = ['colon_fence', 'dollarmath']
myst_heading_anchors = 4
myst_url_schemes = ('http', 'https', 'mailto')

autodoc_member_order = 'bysource'
autodoc_typehints = 'none'  # docstrings state them, with shapes
napoleon_google_docstring = True
napoleon_numpy_docstring = False
napoleon_use_rtype = False

html_theme = 'furo'
html_title = f'shake_mm {release}'
html_static_path = ['_static']
html_css_files = ['site.css']
html_theme_options = dict(navigation_with_keys=True)
copybutton_prompt_text = r'\$ |>>> |\.\.\. '
copybutton_prompt_is_regexp = True
