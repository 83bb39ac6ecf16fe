from __future__ import annotations

import dataclasses

import pytest

from taskqueue import codec
from taskqueue.errors import ConfigurationError, EncodingError, InvalidArguments, NotEnqueueable
from taskqueue.ids import is_id
from taskqueue.options import TaskOptions
from taskqueue.registry import REGISTRY
from taskqueue.report import Report
from taskqueue.task import AbstractTask, NamedTask, as_task, task


class MyFirstTask(AbstractTask):
    """Works with a test."""

    PARAM_TEST_URI = "test_uri"
    options = TaskOptions(retries=3)

    def __init__(self) -> None:
        self.made = True  # without super().__init__(), as people write it

    def __call__(self) -> Report:
        return Report.success(f"I worked with Test {self.get_parameter(self.PARAM_TEST_URI)}")

    def set_test_uri(self, uri: str) -> None:
        if not uri.startswith("http"):
            raise ValueError(uri)
        self.set_parameter(self.PARAM_TEST_URI, uri)


class Named(AbstractTask, name="reindex"):
    secret = ("token",)

    def __call__(self) -> None: ...


class NeedsSize(AbstractTask):
    def __init__(self, size: int) -> None:
        self.size = size

    def __call__(self) -> None: ...


@dataclasses.dataclass
class NeedsColor(AbstractTask):
    color: str

    def __call__(self) -> None: ...


class Base(AbstractTask, register=False):
    def __call__(self) -> None: ...


def test_a_class_is_registered_by_its_name() -> None:
    assert MyFirstTask().name == f"{__name__}:MyFirstTask"
    definition = REGISTRY.get(f"{__name__}:MyFirstTask")
    assert definition.options == TaskOptions(retries=3)
    assert definition.doc == "Works with a test."
    assert "reindex" in REGISTRY
    assert f"{__name__}:Base" not in REGISTRY


def test_parameters_are_set_and_read_by_name() -> None:
    first = MyFirstTask()
    first.set_test_uri("http://x")
    first.set_parameters({"a": 1})
    assert first.parameters == {"test_uri": "http://x", "a": 1}
    assert first.get_parameter("missing", 7) == 7
    with pytest.raises(TypeError):
        first.parameters["a"] = 2


def test_two_tasks_share_nothing() -> None:
    first, second = MyFirstTask(), MyFirstTask()
    first.set_parameter("a", 1)
    assert second.parameters == {}
    assert first.id != second.id
    assert is_id(first.id)
    assert first.id == first.id


def test_a_task_travels_with_its_parameters_and_facts() -> None:
    first = MyFirstTask()
    first.set_test_uri("http://x")
    first.owner, first.label, first.category, first.master_status = "ann", "nightly", "import", True
    decoded = codec.decode(codec.encode(first), REGISTRY)
    back = decoded.task
    assert isinstance(back, MyFirstTask)
    assert back.made
    assert (back.id, back.created_at, back.parameters) == (first.id, first.created_at, first.parameters)
    assert (back.owner, back.label, back.category, back.master_status) == ("ann", "nightly", "import", True)
    assert decoded.invoke() == Report.success("I worked with Test http://x")


def test_a_parameter_that_cannot_travel_is_named() -> None:
    first = MyFirstTask()
    first.set_parameter("files", {"log": object()})
    with pytest.raises(EncodingError, match=r"MyFirstTask: parameter 'files\.log': a object cannot"):
        codec.encode(first)
    second = MyFirstTask()
    second.set_parameter(5, 1)
    with pytest.raises(EncodingError, match="the parameter name 5 is no string"):
        codec.encode(second)


def test_a_class_that_needs_arguments_is_refused_when_enqueued() -> None:
    with pytest.raises(NotEnqueueable, match="needs 'size' to be built"):
        codec.encode(NeedsSize(5))
    with pytest.raises(NotEnqueueable, match="needs 'color' to be built"):
        codec.encode(NeedsColor("red"))


def test_a_class_that_breaks_when_built_is_a_message_that_does_not_fit() -> None:
    """P7: said, not raised as whatever it was."""
    body = codec.encode(Named())
    Named.__init__ = lambda self: 1 / 0
    try:
        with pytest.raises(InvalidArguments, match=r"cannot be built without arguments.*ZeroDivisionError"):
            codec.decode(body, REGISTRY)
    finally:
        del Named.__init__


def test_a_local_class_works_until_it_is_enqueued() -> None:
    class Local(AbstractTask):
        def __call__(self) -> int:
            return 1

    assert Local()() == 1
    with pytest.raises(NotEnqueueable, match="is defined inside a function"):
        codec.encode(Local())


def test_an_abstract_task_cannot_be_made() -> None:
    with pytest.raises(TypeError, match="abstract"):
        AbstractTask()


def test_a_secret_of_one_string_is_a_mistake() -> None:
    with pytest.raises(ConfigurationError, match="secret is a tuple"):

        class Wrong(AbstractTask):
            secret = "token"

            def __call__(self) -> None: ...


def test_two_classes_under_one_name_are_refused() -> None:
    with pytest.raises(ConfigurationError, match="two tasks are named 'reindex'"):

        class Other(AbstractTask, name="reindex"):
            def __call__(self) -> None: ...


def test_what_is_enqueued_must_be_a_task() -> None:
    made = MyFirstTask()
    assert as_task(made) is made
    with pytest.raises(InvalidArguments, match="has its parameters already"):
        as_task(made, 1)
    with pytest.raises(NotEnqueueable, match=r"is a class of tasks; enqueue one: MyFirstTask\(\)"):
        as_task(MyFirstTask)
    with pytest.raises(ConfigurationError, match="it is a task already"):
        task(MyFirstTask)


def test_a_task_known_by_name_alone_travels_unchecked() -> None:
    """P8: the producer needs no code."""
    known = NamedTask("elsewhere:mail", {"to": "ann", "n": 3})
    header = codec.peek(codec.encode(known))
    assert header.name == "elsewhere:mail"
    with pytest.raises(NotEnqueueable, match="by its name alone"):
        known()
