"""Fill in the templates of the stand-ins' configuration.

Called by the builders of this package. A name that a template uses and nobody gave is an error, never an empty string.
"""

from __future__ import annotations

from pathlib import Path

import jinja2

from .site import AHEAD

_HERE = Path(__file__).parent

# No autoescape: these are configuration files, not HTML; every value comes from `site.py` or is a place-holder of ours.
_ENVIRONMENT = jinja2.Environment(  # noqa: S701
    loader=jinja2.FileSystemLoader(_HERE / "templates"),
    undefined=jinja2.StrictUndefined,
    trim_blocks=True,
    lstrip_blocks=True,
    keep_trailing_newline=True,
)
_ENVIRONMENT.globals["ahead"] = AHEAD


def render(template: str, **values: object) -> str:
    """The text of `templates/<template>` with `values` filled in.

    Raises jinja2.UndefinedError when the template uses a name that is not among `values`.
    """
    return _ENVIRONMENT.get_template(template).render(values)


def program(name: str) -> str:
    """The text of a program that is copied to a host as it is (`programs/<name>`)."""
    return (_HERE / "programs" / name).read_text(encoding="utf-8")
