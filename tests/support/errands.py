"""Tasks that people type at the command line."""

from __future__ import annotations

from taskqueue import AbstractTask, Report, context, task

ODD = "\x1b[31mred\x1b[0m [bold]loud[/bold] \u202eback\x07"


@task
def add(a: int, b: int = 10) -> int:
    """Add two numbers."""
    return a + b


@task(secret=("password",))
def mail(to: str, password: str) -> str:
    return f"sent to {to}"


@task
def speak_oddly() -> Report:
    return Report.warning(f"{ODD}\nsecond line", data={"key [red]": ODD})


@task
def give_up(text: str = "no luck") -> None:
    raise ValueError(text)


@task(retries=3, backoff=600)
def give_up_for_now() -> None:
    raise ValueError("not yet")


@task
def divide_among(children: int) -> str:
    context.create_children(add.bind(n) for n in range(children))
    return f"{children} children"


@task
def unstorable() -> object:
    return object()


class Greeting(AbstractTask):
    def __call__(self) -> Report:
        return Report.success("Hello!")
