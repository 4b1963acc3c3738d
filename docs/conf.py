"""Sphinx configuration. The build needs no network: nothing is looked up elsewhere."""

import re
from pathlib import Path

from otgen import __version__, files
from otgen.papers import all_claims, verify
from otgen.papers.claims_page import html_sections
from otgen.papers.figure import run_claims

project = "otgen"
author = "The otgen authors"
release = version = __version__

extensions = [
    "myst_parser",
    "sphinx.ext.autodoc",
    "sphinx.ext.napoleon",
    "sphinx.ext.mathjax",
]
exclude_patterns = ["_build", "_generated"]
# Random instances of a theorem on the page of claims.
INSTANCES = 1000

myst_enable_extensions = ["deflist", "dollarmath"]
myst_heading_anchors = 3

napoleon_google_docstring = True
napoleon_numpy_docstring = False
# Attributes as a list: as entries of their own they would describe the fields of a dataclass twice.
napoleon_use_ivar = True
napoleon_custom_sections = [("Keys", "params_style")]

autodoc_member_order = "bysource"
autodoc_typehints = "signature"
autodoc_preserve_defaults = True
python_use_unqualified_type_names = True
python_maximum_signature_line_length = 100
add_module_names = False

html_theme = "furo"
html_title = f"otgen {release}"
html_copy_source = False
html_show_sourcelink = False
html_show_copyright = False


def mended(app, what, name, obj, options, lines):
    """Keep napoleon from taking what stands before a colon for a type, or for a name with its markup."""
    if what in ("property", "attribute") and lines and ":" in lines[0]:
        lines[0] = f": {lines[0]}"
    for index, line in enumerate(lines):
        if re.match(r" {4}``[\w*]+``[^:]*: ", line):
            key, _, text = line.partition(": ")
            lines[index] = f"{key.replace('``', '')}: {text}"


def readable(app, what, name, obj, options, signature, return_annotation):
    """Members of an enum by their names, as they are written."""
    if signature is None:
        return None
    return re.sub(r"<(\w+\.\w+): [^>]*>", r"\1", signature), return_annotation


def claims_page(app):
    """What `otgen verify` finds, for claims.md."""
    page = Path(app.srcdir) / "_generated" / "claims.html"
    page.parent.mkdir(exist_ok=True)
    if app.builder.format != "html" and page.exists():
        return
    # A build that writes no pages needs the file, not its theorems.
    claims = all_claims() if app.builder.format == "html" else run_claims()
    files.write(page, html_sections(list(verify(claims, n=INSTANCES)), n=INSTANCES, seed=0))


def setup(app):
    """Before napoleon, which comes at the default priority of 500."""
    app.connect("builder-inited", claims_page)
    app.connect("autodoc-process-signature", readable)
    app.connect("autodoc-process-docstring", mended, priority=400)
