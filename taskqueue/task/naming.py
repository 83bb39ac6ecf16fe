"""A task's name, "module:QualName": by it any worker finds the same code again. What has no such name is refused."""

from __future__ import annotations

import functools
import inspect
import sys
import types
from collections.abc import Callable
from pathlib import Path
from typing import Any

from taskqueue.errors import NotEnqueueable

MAX_NAME = 255


def origin_of(target: Any) -> str:
    """Where the code stands, as far as that can be said: "module:QualName"."""
    kind = target if hasattr(target, "__qualname__") else type(target)
    return f"{getattr(kind, '__module__', None) or '?'}:{kind.__qualname__}"


def name_of(target: Any) -> str:
    """The name under which a worker finds this callable or class; NotEnqueueable says why there is none."""
    refuse_shape(target)
    module, qualname = target.__module__, target.__qualname__
    if "<lambda>" in qualname:
        raise NotEnqueueable(
            f"a lambda (in {module}) has no name that a worker could find; write it with def, at the top of a module"
        )
    if "<locals>" in qualname:
        raise NotEnqueueable(
            f"{module}:{qualname} is defined inside a function, where no worker finds it; move it to the top of a "
            "module (if a decorator wraps it, that decorator lacks functools.wraps)"
        )
    if _is_method(target, qualname):
        raise NotEnqueueable(
            f"{module}:{qualname} is a method, and no worker has its object; make it a function, or put @task on a "
            "class that has __call__"
        )
    return check_name(f"{importable_module(module, qualname)}:{qualname}")


def check_name(name: str) -> str:
    """The name itself, if messages and the task log can carry it."""
    if not name or len(name) > MAX_NAME or any(c.isspace() or not c.isprintable() for c in name):
        raise NotEnqueueable(f"task name {name[:80]!r}: it must be 1 to {MAX_NAME} printable characters without spaces")
    return name


def refuse_shape(target: Any) -> None:
    """Raise NotEnqueueable for what is neither a plain function nor a class, whatever its name."""
    if isinstance(target, functools.partial):
        raise NotEnqueueable(
            f"a partial of {origin_of(target.func)} carries arguments that no worker has; enqueue the function itself "
            "with all its arguments"
        )
    if isinstance(target, types.MethodType):
        raise NotEnqueueable(
            f"{origin_of(target)} is bound to an object that no worker has; make it a function and pass the object's id"
        )
    if not callable(target):
        raise NotEnqueueable(f"a {type(target).__qualname__} cannot be called, so it is no task")
    if inspect.isgeneratorfunction(target) or inspect.isasyncgenfunction(target):
        raise NotEnqueueable(f"{origin_of(target)} is a generator; return its values as a list")
    if inspect.isbuiltin(target):
        raise NotEnqueueable(f"{origin_of(target)} is built in; call it from a function of your own")
    if not _has_a_name(target):
        raise NotEnqueueable(
            f"an instance of {origin_of(target)} is no task: its state stays in this process; put @task on the class "
            "(workers build it without arguments) and pass the state as arguments"
        )


@functools.cache
def refuse_unbuildable(target: Any) -> None:
    """Raise NotEnqueueable for a class that cannot be built without arguments, or whose instances cannot be called."""
    if not isinstance(target, type):
        return
    if not any("__call__" in vars(base) for base in target.__mro__):
        raise NotEnqueueable(f"{origin_of(target)} has no __call__, so it is no task")
    parameters = list(inspect.signature(target.__init__).parameters.values())[1:]  # type: ignore[misc]  # of this very class
    needed = [p.name for p in parameters if p.default is p.empty and p.kind not in (p.VAR_POSITIONAL, p.VAR_KEYWORD)]
    if needed:
        raise NotEnqueueable(
            f"{origin_of(target)} needs {', '.join(map(repr, needed))} to be built, and a worker builds it without "
            "arguments; make them parameters of the task"
        )


def _has_a_name(target: Any) -> bool:
    # Decorators such as functools.lru_cache make objects that stand for the function they wrap.
    return isinstance(target, (type, types.FunctionType)) or hasattr(target, "__wrapped__")


def _is_method(target: Any, qualname: str) -> bool:
    if isinstance(target, type) or "." not in qualname:
        return False
    return next(iter(inspect.signature(target).parameters), "") in ("self", "cls")


def importable_module(module: str, qualname: str) -> str:
    """The name by which other processes import this module: `__main__` is another one in each of them."""
    if module not in ("__main__", "__mp_main__"):
        return module
    main = sys.modules["__main__"]
    if (spec := getattr(main, "__spec__", None)) is not None:
        return _module_of_package_main(spec.name, qualname)
    file = Path(getattr(main, "__file__", None) or "-").resolve()
    if not file.is_file():
        raise NotEnqueueable(
            f"{qualname} is defined at the prompt, where no worker finds it; move it to a module, e.g. tasks.py"
        )
    return _module_of_file(file, qualname)


def _module_of_package_main(module: str, qualname: str) -> str:
    package, _, last = module.rpartition(".")
    if last != "__main__":
        return module
    raise NotEnqueueable(
        f"{qualname} is defined in {package}/__main__.py, which runs the program whenever it is imported; move it to "
        f"a module beside it, e.g. {package}/tasks.py"
    )


def _module_of_file(file: Path, qualname: str) -> str:
    """A script's module name: its path below the folder on sys.path that holds its outermost package."""
    root = file.parent
    while (root / "__init__.py").exists():
        root = root.parent
    parts = file.relative_to(root).with_suffix("").parts
    if not all(part.isidentifier() for part in parts):
        raise NotEnqueueable(
            f"{qualname} is defined in {file.name}, whose name cannot be imported; move it to a module, e.g. tasks.py"
        )
    if not any(Path(entry or ".").resolve() == root for entry in sys.path):
        name = ".".join(parts)
        raise NotEnqueueable(
            f"{qualname} is defined in {file}, run as a script; run it as `python -m {name}`, or move {qualname} to a "
            "module that is imported"
        )
    return ".".join(parts)


def why_no_task(target: Callable[..., Any]) -> NotEnqueueable:
    """Why this callable, which is no task yet, cannot be enqueued."""
    try:
        name = name_of(target)
    except NotEnqueueable as refusal:
        return refusal
    return NotEnqueueable(f"{name} is not registered as a task; put @task above it")
