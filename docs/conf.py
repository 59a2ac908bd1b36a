"""Settings of the documentation: `python -m sphinx -W -n docs docs/_build/html`."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from cardanalysis import __version__

if TYPE_CHECKING:
    from docutils import nodes
    from sphinx.addnodes import pending_xref
    from sphinx.application import Sphinx
    from sphinx.environment import BuildEnvironment

project = "cardanalysis"
author = "The cardanalysis authors"
project_copyright = author
release = version = __version__

extensions = ["myst_parser", "sphinx.ext.autodoc", "sphinx.ext.napoleon"]
exclude_patterns = ["_build", "examples"]
html_theme = "furo"
html_title = f"cardanalysis {release}"
html_copy_source = False

myst_enable_extensions = ["deflist"]
myst_heading_anchors = 3

add_module_names = False
autodoc_member_order = "bysource"
autodoc_typehints_format = "short"
autodoc_class_signature = "mixed"
autodoc_inherit_docstrings = False
autodoc_mock_imports = ["pytest"]  # for the docstring of the fixtures
napoleon_numpy_docstring = False
napoleon_use_ivar = True
python_maximum_signature_line_length = 80

# Single backticks in docstrings name parameters as well as objects. Those that name an object become links.
default_role = "py:obj"
nitpick_ignore_regex = [
    ("py:obj", r".*"),
    # Other people's names: to link them, their indexes would have to be fetched.
    ("py:class", r"(anyio|collections\.abc|contextlib|datetime|os|pathlib|random|types)\..*"),
    # Type variables, and what a Reply holds, which its constructors make.
    ("py:class", r"cardanalysis\.(_convert\._T|testing\._replies\..*)"),
]

_HOMES = ("cardanalysis", "cardanalysis.abc", "cardanalysis._errors", "cardanalysis._models")


def find_by_bare_name(
    app: Sphinx, env: BuildEnvironment, node: pending_xref, text: nodes.TextElement
) -> nodes.Element | None:
    """Docstrings name our objects without their module, whatever module they stand in themselves."""
    if node.get("refdomain") != "py" or "." in node["reftarget"]:
        return None
    domain, target = env.domains.python_domain, node["reftarget"]
    candidates = (f"{home}.{target}" for home in _HOMES)
    name = next((name for name in candidates if name in domain.objects), None)
    if name is None:
        return None
    return domain.resolve_xref(env, node["refdoc"], app.builder, node["reftype"], name, node, text)


def shorten_types(app: Sphinx, what: str, name: str, obj: object, options: object, lines: list[str]) -> None:
    """Show the types of attributes without their modules, as signatures do."""
    lines[:] = [re.sub(r"(?<![\w.])(?=(?:\w+\.)+\w)", "~", line) if ":vartype" in line else line for line in lines]


def name_defaults(
    app: Sphinx, what: str, name: str, obj: object, options: object, signature: str | None, returned: str | None
) -> tuple[str | None, str | None]:
    """Show functions by name, what attrs makes anew for each object as ``...``, and no arguments of protocols."""
    if signature == "(*args, **kwargs)":
        return "", returned
    named = re.sub(r"<(?:built-in )?function (\w+)[^>]*>", r"\1", signature or "")
    return named.replace("NOTHING", "...") or None, returned


def setup(app: Sphinx) -> dict[str, Any]:
    """Called by Sphinx."""
    app.connect("missing-reference", find_by_bare_name)
    app.connect("autodoc-process-docstring", shorten_types, priority=900)  # after napoleon
    app.connect("autodoc-process-signature", name_defaults)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
