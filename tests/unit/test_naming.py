from __future__ import annotations

import functools
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from taskqueue.errors import NotEnqueueable
from taskqueue.task.naming import check_name, name_of, refuse_unbuildable


def plain() -> None: ...


def generator() -> Iterator[int]:
    yield 1


@functools.lru_cache
def cached() -> int:
    return 1


class Callable:
    def __call__(self) -> None: ...

    def method(self) -> None: ...

    @staticmethod
    def static() -> None: ...


class NeedsMore:
    def __init__(self, size: int) -> None: ...

    def __call__(self) -> None: ...


class NotCallable: ...


def make() -> Any:
    def local() -> None: ...

    return local


def refusal(target: Any) -> str:
    with pytest.raises(NotEnqueueable) as caught:
        name_of(target)
    return str(caught.value)


def test_a_name_is_module_and_qualified_name() -> None:
    assert name_of(plain) == f"{__name__}:plain"
    assert name_of(Callable) == f"{__name__}:Callable"
    assert name_of(Callable.static) == f"{__name__}:Callable.static"


def test_a_decorator_with_wraps_changes_no_name() -> None:
    assert name_of(cached) == f"{__name__}:cached"


@pytest.mark.parametrize(
    ("target", "reason"),
    [
        (lambda: 1, "a lambda"),
        (make(), "is defined inside a function"),
        (functools.partial(plain), f"a partial of {__name__}:plain"),
        (Callable().method, "is bound to an object"),
        (Callable.method, "is a method"),
        (Callable(), f"an instance of {__name__}:Callable"),
        (generator, "is a generator"),
        (len, "is built in"),
        (5, "a int cannot be called"),
    ],
)
def test_each_refusal_is_a_sentence_of_its_own(target: Any, reason: str) -> None:
    assert reason in refusal(target)


def test_a_class_must_be_buildable_without_arguments() -> None:
    refuse_unbuildable(Callable)
    with pytest.raises(NotEnqueueable, match="needs 'size' to be built"):
        refuse_unbuildable(NeedsMore)
    with pytest.raises(NotEnqueueable, match="has no __call__"):
        refuse_unbuildable(NotCallable)


@pytest.mark.parametrize("name", ["", "two words", "x" * 256, "a\nb", "\x00"])
def test_names_that_no_log_can_carry_are_refused(name: str) -> None:
    with pytest.raises(NotEnqueueable, match="task name"):
        check_name(name)


SCRIPT = """
from taskqueue.task.naming import name_of
from taskqueue.errors import NotEnqueueable
def hello(): ...
try:
    print(name_of(hello))
except NotEnqueueable as error:
    print("refused:", error)
"""


def run(*arguments: str, cwd: Path, script: str | None = None) -> str:
    environment = {"PYTHONPATH": str(Path(__file__).parents[2])}
    return subprocess.run(
        [sys.executable, *arguments], cwd=cwd, input=script, env=environment, capture_output=True, text=True, check=True
    ).stdout.strip()


@pytest.fixture
def shop(tmp_path: Path) -> Path:
    package = tmp_path / "shop"
    package.mkdir()
    for name in ("__init__.py", "tasks.py", "__main__.py"):
        (package / name).write_text(SCRIPT if name != "__init__.py" else "")
    (tmp_path / "first.py").write_text(SCRIPT)
    (tmp_path / "my-script.py").write_text(SCRIPT)
    return tmp_path


def test_a_script_is_known_by_its_module(shop: Path) -> None:
    assert run("first.py", cwd=shop) == "first:hello"
    assert run(str(shop / "first.py"), cwd=shop.parent) == "first:hello"


def test_a_module_run_with_m_is_known_by_its_module(shop: Path) -> None:
    assert run("-m", "shop.tasks", cwd=shop) == "shop.tasks:hello"


def test_a_module_of_a_package_run_as_a_script_says_how_to_run_it(shop: Path) -> None:
    said = run("shop/tasks.py", cwd=shop)
    assert said.startswith("refused: hello is defined in ")
    assert "run it as `python -m shop.tasks`" in said


def test_main_of_a_package_is_refused(shop: Path) -> None:
    assert "move it to a module beside it, e.g. shop/tasks.py" in run("-m", "shop", cwd=shop)


def test_a_file_that_cannot_be_imported_is_refused(shop: Path) -> None:
    assert "my-script.py, whose name cannot be imported" in run("my-script.py", cwd=shop)


@pytest.mark.parametrize("arguments", [("-",), ("-c", SCRIPT)])
def test_the_prompt_is_refused(shop: Path, arguments: tuple[str, ...]) -> None:
    assert "is defined at the prompt" in run(*arguments, cwd=shop, script=SCRIPT)
