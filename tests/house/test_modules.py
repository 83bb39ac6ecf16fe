"""House style that no linter knows: small modules, small functions, a promise on each public thing."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
MODULES = sorted(path for package in ("taskqueue", "supervisor") for path in (ROOT / package).rglob("*.py"))
SOURCES = sorted({*MODULES, *(ROOT / "tests").rglob("*.py")})
MODULE_LINES, FUNCTION_LINES, POSITIONAL = 250, 40, 5
# Longer, with the reason.
DECLARATIONS = {"taskqueue/database/schema.py": "columns, one a line; there are no steps in it"}

Function = ast.FunctionDef | ast.AsyncFunctionDef
Definition = Function | ast.ClassDef


def name_of(path: Path) -> str:
    return str(path.relative_to(ROOT))


@pytest.fixture(params=MODULES, ids=name_of)
def module(request: pytest.FixtureRequest) -> Path:
    return request.param


@pytest.fixture(params=SOURCES, ids=name_of)
def source(request: pytest.FixtureRequest) -> Path:
    return request.param


def functions(path: Path) -> Iterator[Function]:
    return (node for node in ast.walk(ast.parse(path.read_text())) if isinstance(node, Function))


def lines(function: Function) -> int:
    """Lines from `def` to the end, without the docstring: help texts may be as long as they need."""
    first = function.body[0]
    text = first.end_lineno - first.lineno + 1 if ast.get_docstring(function) is not None else 0
    return function.end_lineno - function.lineno + 1 - text


def positional(function: Function) -> int:
    named = [argument.arg for argument in (*function.args.posonlyargs, *function.args.args)]
    return len(named) - (named[:1] in (["self"], ["cls"]))


def public(body: list[ast.stmt], owner: str = "") -> Iterator[tuple[str, Definition]]:
    """Public functions, classes and methods, as (dotted name, definition)."""
    for node in body:
        if isinstance(node, Definition) and not node.name.startswith("_"):
            yield owner + node.name, node
            if isinstance(node, ast.ClassDef):
                yield from public(node.body, f"{node.name}.")


def is_variant(node: Definition) -> bool:
    """An overload or a setter: its first definition has the docstring."""
    return any(re.search(r"\boverload$|\.setter$|\.deleter$", ast.unparse(d)) for d in node.decorator_list)


@cache
def contracts() -> set[str]:
    """Names of methods whose promise stands in some class: who keeps the contract need not say it again."""
    everything = (found for path in MODULES for found in public(ast.parse(path.read_text()).body))
    return {node.name for name, node in everything if "." in name and ast.get_docstring(node)}


def test_a_module_has_one_subject(module: Path) -> None:
    assert len(module.read_text().splitlines()) <= MODULE_LINES
    assert not re.search(r"util|common|helper|manager|misc", module.stem), "name the subject"


def test_a_function_fits_on_a_screen(module: Path) -> None:
    if name_of(module) in DECLARATIONS:
        return
    assert [f"{f.name}: {lines(f)} lines" for f in functions(module) if lines(f) > FUNCTION_LINES] == []


def test_a_call_can_be_read(module: Path) -> None:
    assert [f"{f.name}: {positional(f)} parameters" for f in functions(module) if positional(f) > POSITIONAL] == []


def test_every_public_thing_states_its_promise(module: Path) -> None:
    tree, known = ast.parse(module.read_text()), contracts()
    silent = [
        name
        for name, node in public(tree.body)
        if not ast.get_docstring(node) and not is_variant(node) and not ("." in name and node.name in known)
    ]
    assert silent == []
    assert not tree.body or ast.get_docstring(tree), "say in a docstring what the module is about"


def test_what_is_silenced_says_what_and_why(source: Path) -> None:
    silenced = [line for line in source.read_text().splitlines() if re.search(r"#\s*(noqa|type:\s*ignore)\b", line)]
    reasoned = re.compile(r"# (noqa: [A-Z]+\d+(, ?[A-Z]+\d+)*|type: ignore\[[\w, -]+\])\s*\W*\s*\w+")
    assert [line.strip() for line in silenced if not reasoned.search(line)] == []


def test_the_code_explains_itself(source: Path) -> None:
    elsewhere = re.compile(r"\bissues? #?\d|(?<![\w.])/(root|home|Users)/\w", re.IGNORECASE)
    assert elsewhere.findall(source.read_text()) == [], "no tracker numbers, no folders of one machine"


def test_one_word_a_thing(module: Path) -> None:
    tree = ast.parse(module.read_text())
    names = {node.id for node in ast.walk(tree) if isinstance(node, ast.Name)}
    names |= {node.arg for node in ast.walk(tree) if isinstance(node, ast.arg)}
    names |= {node.name for node in ast.walk(tree) if isinstance(node, Definition)}
    assert [name for name in names if {"job", "jobs", "msg", "msgs"} & set(name.lower().split("_"))] == []


def test_nothing_unpickles(module: Path) -> None:
    """P8: decoding runs no code."""
    imported = re.compile(r"^\s*(?:import|from) (pickle|marshal|shelve|dill)\b", re.MULTILINE)
    assert imported.findall(module.read_text()) == []
