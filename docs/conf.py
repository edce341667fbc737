"""Sphinx: the site of the docs. ``sphinx-build -W docs build/site`` makes it; warnings are errors."""

import gc
import inspect
import os
import sys
from pathlib import Path
from typing import Any

from sphinx.application import Sphinx
from sphinx.pycode.parser import Parser

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))
os.environ["CUDA_VISIBLE_DEVICES"] = ""  # the reference needs no GPU
gc.disable()  # the pages' trees stay to the end, and going through them again and again is a third of the time

project = "FiCo"
author = "The FiCo authors"
copyright = "the FiCo authors"  # noqa: A001  (Sphinx's name)
extensions = ["myst_parser", "sphinx.ext.autodoc", "sphinx.ext.napoleon"]
html_theme = "furo"
html_title = "FiCo"
html_show_sourcelink = False

myst_heading_anchors = 3
suppress_warnings = ["misc.highlighting_failure"]

autodoc_mock_imports = ["triton"]  # only GPU builds of torch bring it
autodoc_member_order = "bysource"
autodoc_typehints = "none"  # jaxtyping's shapes are no Python names; the signatures carry them
autodoc_preserve_defaults = True
autodoc_use_type_comments = False  # there are none, and the search for them parses every source once more
napoleon_google_docstring = True
napoleon_numpy_docstring = False
napoleon_use_rtype = False
napoleon_custom_sections = ["Differs", "Source"]

nitpicky = True
nitpick_ignore_regex = [
    ("py:.*", r"(?!fico\.).*"),  # names of other packages, whose documentation is not linked
]

# A page of each package is made from the files that are there; the public names have a page by hand, and the index.
PACKAGES = ("datasets", "embeddings", "evaluation", "losses", "metrics", "networks", "scoring", "search")
MODULE = """{name}
{line}

.. automodule:: {name}
   :members:
   :no-index:

"""


def _write_packages(app: Sphinx) -> None:
    target = Path(app.srcdir) / "api" / "generated"
    target.mkdir(exist_ok=True)
    for package in PACKAGES:
        files = sorted((ROOT / "fico" / package).rglob("[!_]*.py"))
        names = [
            ".".join(file.relative_to(ROOT).with_suffix("").parts) for file in files if file.parent.name != "kernels"
        ]
        parts = [MODULE.format(name=name, line="-" * len(name)) for name in names]
        title = f"fico.{package}"
        (target / f"{package}.rst").write_text("\n".join([title, "=" * len(title), "", *parts]))


def _skip_imported(app: Sphinx, what: str, name: str, member: Any, skip: bool, options: Any) -> bool | None:
    """Leave out what a module imports before autodoc reads its source, not after it: a third of its time."""
    is_code = what == "module" and (inspect.isclass(member) or inspect.isroutine(member))
    if is_code and member.__module__ != app.env.current_document.autodoc_module:
        return True
    return None


def setup(app: Sphinx) -> None:
    """Sphinx's hook."""
    Parser.parse_definition = lambda _: None  # lines of functions, an eighth of the time; no page shows any
    app.connect("builder-inited", _write_packages)
    app.connect("autodoc-skip-member", _skip_imported)
