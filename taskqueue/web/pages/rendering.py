"""Templates made into answers: every value is escaped, and a name that a template misspells is an error."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any
from urllib.parse import quote, urlencode

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup

import taskqueue
from taskqueue.operations.times import brief, local, offset, rfc3339
from taskqueue.operations.words import count
from taskqueue.visible import visible_lines

FOLDER = Path(__file__).parents[1]
STATIC = FOLDER / "static"
_TICKED = re.compile(r"`([^`\n]+)`")


@cache
def templates() -> Environment:
    """The templates, ready to be rendered."""
    made = Environment(
        loader=FileSystemLoader(FOLDER / "templates"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        finalize=_shown,
    )
    made.filters |= {"ticks": ticks, "brief": brief, "local": local, "rfc3339": rfc3339}
    made.globals |= {"offset": offset, "version": taskqueue.__version__, "count": count}
    return made


def _shown(value: Any) -> Any:
    """What could reverse or forge a line (control characters, marks of direction) is written out."""
    return visible_lines(value) if type(value) is str else value


def render(name: str, *, block: str | None = None, **context: Any) -> str:
    """The page of that name, or one block of it."""
    template = templates().get_template(name)
    if block is None:
        return template.render(**context)
    return "".join(template.blocks[block](template.new_context(context)))


def ticks(text: str) -> Markup:
    """The text, escaped, in which what stands in backticks is code."""
    pieces = _TICKED.split(visible_lines(text))  # every second one stood in backticks
    code = Markup("<code>{}</code>")
    return Markup("").join(code.format(piece) if place % 2 else piece for place, piece in enumerate(pieces))


def linker(root: str) -> Callable[..., str]:
    """How templates name an address below `root`: `link("/tasks", queue="mail")`."""

    def link(path: str, **query: Any) -> str:
        return address(root, path, **query)

    return link


def address(root: str, path: str, **query: Any) -> str:
    """An address of ours below `root`; values of the query that say nothing are left out, a list is repeated."""
    said = {name: value for name, value in query.items() if value not in (None, "", [])}
    return root + quote(path, safe="/:@") + (f"?{urlencode(said, doseq=True)}" if said else "")


@cache
def mark_of(name: str) -> str:
    """Changes when that static file does, so that browsers may keep it for ever."""
    return hashlib.blake2b((STATIC / name).read_bytes(), digest_size=6).hexdigest()
