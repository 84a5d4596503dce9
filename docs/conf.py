"""How the documentation is built: ``sphinx-build -W docs docs/_build/html``.

Nothing is fetched: no inventories of other projects, no fonts, no scripts from elsewhere.  Pages
that are made from the package itself (commands, modules, notebooks) come from `pages.py`.
"""

from __future__ import annotations

import sys
from pathlib import Path

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE))
sys.path.insert(0, str(HERE.parent / "src"))

from pages import live_page, write_pages  # noqa: E402  # beside this file

import beltcast  # noqa: E402  # its place in a checkout comes first

project = "beltcast"
author = "beltcast developers"
release = version = beltcast.__version__

# The words n, Place and History in a type are no references, though things of that name exist.
suppress_warnings = ["ref.python"]

extensions = [
    "myst_nb",
    "sphinx.ext.autodoc",
    "sphinx.ext.autosummary",
    "sphinx.ext.napoleon",
]
exclude_patterns = ["_build", "generated-page", "refresh.py", "pages.py"]

# The notebooks come with their outputs (notebooks/refresh.py); tests/test_notebooks.py runs them.
nb_execution_mode = "off"
myst_enable_extensions = ["colon_fence", "deflist"]
myst_heading_anchors = 3
smartquotes = False  # an option is --draws, not –draws
highlight_language = "none"  # most blocks are commands and what they print

autodoc_typehints = "none"  # types stand in the docstrings, with shapes and units
autodoc_default_options = {"members": True, "member-order": "bysource"}
napoleon_google_docstring = False
napoleon_use_rtype = False

html_theme = "pydata_sphinx_theme"
html_title = "beltcast"
html_theme_options = {
    "header_links_before_dropdown": 8,
    "navigation_with_keys": False,
    "show_prev_next": False,
    "show_toc_level": 2,
}
html_sidebars = {name: [] for name in ("index", "changelog", "gallery/index")}
html_static_path = ["static"]
html_extra_path = ["generated-page"]
html_css_files = ["wide.css"]
html_show_sourcelink = False

write_pages(HERE / "generated")
live_page(HERE / "generated-page")
