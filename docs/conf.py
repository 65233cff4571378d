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
html_static_path = ["_static"]
html_css_files = ["site.css"]
myst_heading_anchors = 3
# Quotes only: of an option in running text, --check, a dash would make what no command takes.
smartquotes_action = "q"
# The theme's own underlines the names of modules, as if they were links.
pygments_dark_style = "github-dark"

# The docstrings have code between single backticks.
default_role = "code"
autoclass_content = "both"
autodoc_member_order = "bysource"
autodoc_preserve_defaults = True
autodoc_typehints = "signature"
autodoc_typehints_format = "short"
python_maximum_signature_line_length = 72
napoleon_use_rtype = False
napoleon_use_ivar = True


def setup(app):
    """Have signatures and members shown as they are meant."""
    app.connect("autodoc-process-signature", _as_written)
    app.connect("autodoc-skip-member", _said_already)


def _as_written(_app, _what, _name, _object, _options, signature, returned):
    """P.args and P.kwargs come with a mark that is no part of them."""
    return (signature.replace("~typing.~P", "P") if signature else signature), returned


def _said_already(_app, _what, _name, member, skip, _options):
    """A named tuple's fields are in its signature, and described with the class."""
    return skip or (getattr(member, "__doc__", "") or "").startswith("Alias for field number")
