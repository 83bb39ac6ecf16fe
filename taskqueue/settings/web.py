"""`[web]` and `[web.tokens.NAME]`: read, and refused where a stranger could reach what nothing guards."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from msgspec.structs import replace

from taskqueue.settings.locations import below
from taskqueue.settings.model import TokenSettings, WebSettings, rules_of
from taskqueue.settings.problems import Problems, as_table, named_tables, read_table

_TABLE = ("web",)


def read_web(tree: Mapping[str, Any], root: Path, problems: Problems) -> WebSettings:
    """What the file says of the web server; paths start at `root`."""
    raw = as_table(tree.get("web", {}), _TABLE, problems)
    values = read_table(raw, {**rules_of(WebSettings), "tokens": lambda given: given}, _TABLE, problems)
    web = WebSettings(**{**values, "tokens": _tokens(values, problems)})
    if web.bind is not None and web.bind.path is not None:
        web = replace(web, bind=web.bind._replace(path=below(root, web.bind.path)))
    _refuse_the_unguarded(web, problems)
    return web


def _tokens(web: Mapping[str, Any], problems: Problems) -> dict[str, TokenSettings]:
    tokens: dict[str, TokenSettings] = {}
    for name, raw in named_tables(web, "tokens", problems, above=_TABLE).items():
        table = ("web", "tokens", name)
        if "token" not in raw:
            problems.add(table, 'missing; for instance "${file:/run/secrets/NAME}"', key="token")
        values = read_table(raw, rules_of(TokenSettings), table, problems)
        made = TokenSettings(name=name, **{"owner": name, **values})
        if made.token and any(made.token == other.token for other in tokens.values()):
            problems.add(table, "another caller has the same token: give each its own", key="token")
        tokens[name] = made
    return tokens


def _refuse_the_unguarded(web: WebSettings, problems: Problems) -> None:
    if web.tokens or problems.within(("web", "tokens")):
        return
    guard = "add [web.tokens.NAME] with a token and a role"
    if web.bind is not None and not web.bind.private:
        text = f"without tokens everybody who reaches {web.bind} could do everything: {guard}, or bind to 127.0.0.1"
        problems.add(_TABLE, text, key="bind")
    if "*" in web.allowed_hosts:
        text = f'"*" lets any web page reach what no token guards: {guard}, or name the hosts'
        problems.add(_TABLE, text, key="allowed_hosts")
