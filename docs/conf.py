"""How the documentation site is built: `make docs`. It needs no network, and its search works from files alone."""

import importlib.metadata
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent / "extensions"))

project = "ddnn"
author = "The ddnn authors"
copyright = author
release = version = importlib.metadata.version("ddnn")

extensions = [
    "myst_nb",  # Markdown, and the tutorial with its outputs
    "sphinx.ext.autodoc",
    "sphinx.ext.autosummary",
    "sphinx.ext.napoleon",  # docstrings in Google's style
    "sphinx_copybutton",
    "sphinx_design",
    "docstrings",  # here: docstrings that have Markdown's fences
    "commands",  # here: the keys of every command
    "pictures",  # here: pictures drawn from real networks
]
exclude_patterns = ["extensions", "conf.py", "build", "jupyter_execute"]
nb_custom_formats = {".py": ["jupytext.reads", {"fmt": "py:percent"}]}
nb_execution_mode = "cache"
nb_execution_timeout = 300
nb_execution_raise_on_error = True
nb_merge_streams = True
myst_enable_extensions = ["colon_fence"]
myst_heading_anchors = 4

default_role = "code"
autosummary_generate = True
autodoc_typehints = "signature"
autodoc_member_order = "bysource"
autodoc_default_options = {"members": True}
autodoc_inherit_docstrings = False
napoleon_google_docstring, napoleon_numpy_docstring = True, False
napoleon_use_ivar = True
python_use_unqualified_type_names = True
maximum_signature_line_length = 88

html_theme = "pydata_sphinx_theme"
html_title = "ddnn"
html_static_path = ["static"]
html_css_files = ["site.css"]
html_show_sourcelink = False
html_theme_options = {
    "show_prev_next": True,
    "navigation_with_keys": True,
    "header_links_before_dropdown": 6,
    "footer_start": ["copyright"],
    "footer_end": ["sphinx-version"],
    "pygments_light_style": "a11y-high-contrast-light",
    "pygments_dark_style": "a11y-high-contrast-dark",
}
linkcheck_ignore = [r"https?://.*"]  # links within the site alone: building needs no network
