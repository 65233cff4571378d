"""Sphinx settings; `sh tests/run` builds with warnings as errors."""

import sys
from pathlib import Path

from alligator import __version__

sys.path.insert(0, str(Path(__file__).parent))

from generate import stale

if files := stale():
    raise SystemExit(f"{', '.join(files)} differ from the commands; run python docs/generate.py")

project = "Alligator"
author = "the Alligator authors"
copyright = "2026, the Alligator authors"
release = version = __version__

extensions = ["myst_parser", "sphinx.ext.autodoc", "sphinx.ext.napoleon"]
source_suffix = {".md": "markdown"}
exclude_patterns = ["_build"]
html_theme = "furo"
html_title = f"Alligator {release}"
myst_heading_anchors = 3

autodoc_member_order = "bysource"
autodoc_typehints = "signature"
autodoc_typehints_format = "short"
napoleon_use_rtype = False
napoleon_use_ivar = True
