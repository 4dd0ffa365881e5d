"""How Sphinx makes the documentation: make docs."""

from __future__ import annotations

import re
from importlib.metadata import version as version_of
from pathlib import Path
from runpy import run_path

run_path(str(Path(__file__).parent / "picture.py"), run_name="__main__")

project = "realtime-relay"
author = "the realtime-relay authors"
copyright = author
release = version = version_of("realtime-relay")

extensions = ["myst_parser", "sphinx.ext.autodoc"]
myst_heading_anchors = 3
# Included in another page.
exclude_patterns = ["performance/*.md"]

autodoc_member_order = "bysource"
autodoc_typehints_format = "short"

html_theme = "furo"
html_title = f"{project} {release}"
# Nothing of the pages is loaded from elsewhere, and what was built is enough to serve them.
html_copy_source = False
html_show_sphinx = False

_EPYTEXT = (
    (re.compile(r"[CLI]\{([^}]*)\}"), r"``\1``"),
    (re.compile(r"^(\s*)@(ivar|param|raise|return)\b", re.MULTILINE), r"\1:\2"),
)


def _from_epytext(app, what, name, obj, options, lines):  # type: ignore[no-untyped-def]
    """The docstrings are written as Twisted's are; this is all of epytext that they use."""
    text = "\n".join(lines)
    for pattern, replacement in _EPYTEXT:
        text = pattern.sub(replacement, text)
    lines[:] = text.split("\n")


def setup(app):  # type: ignore[no-untyped-def]
    app.connect("autodoc-process-docstring", _from_epytext)
