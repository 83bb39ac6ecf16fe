from __future__ import annotations

import pytest

from taskqueue.errors import ConfigurationError, NotEnqueueable, UnknownTask
from taskqueue.registry import Registry
from taskqueue.task import task
from taskqueue.task.callback import FunctionDefinition


def mail() -> None: ...


def post() -> None: ...


def test_a_task_is_found_by_its_name() -> None:
    registry, definition = Registry(), FunctionDefinition(mail, None)
    registry.add(definition)
    assert registry.get(f"{__name__}:mail") is definition
    assert list(registry) == [f"{__name__}:mail"]
    assert len(registry) == 1


def test_an_unknown_name_says_which_was_perhaps_meant() -> None:
    registry = Registry()
    registry.add(FunctionDefinition(mail, "shop:mail"))
    with pytest.raises(UnknownTask, match="no task 'shop:mali' in this process, did you mean 'shop:mail'"):
        registry.get("shop:mali")


def test_a_reloaded_module_replaces_its_tasks() -> None:
    registry, again = Registry(), FunctionDefinition(mail, "mail")
    registry.add(FunctionDefinition(mail, "mail"))
    registry.add(again)
    assert registry.get("mail") is again


def test_two_tasks_under_one_name_are_refused() -> None:
    registry = Registry()
    registry.add(FunctionDefinition(mail, "mail"))
    with pytest.raises(ConfigurationError, match=f"two tasks are named 'mail': {__name__}:mail and {__name__}:post"):
        registry.add(FunctionDefinition(post, "mail"))


def test_what_has_no_name_is_not_registered() -> None:
    nameless = task(lambda: 1)
    assert not nameless.definition.enqueueable
    with pytest.raises(NotEnqueueable, match="a lambda"):
        Registry().add(nameless.definition)
