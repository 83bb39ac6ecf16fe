from __future__ import annotations

import dataclasses
import enum
import functools
import inspect
import multiprocessing.reduction
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Annotated, Any, Literal
from uuid import UUID, uuid4

import msgspec
import pytest

from taskqueue import codec
from taskqueue.errors import ConfigurationError, EncodingError, InvalidArguments, NotEnqueueable, TaskQueueError
from taskqueue.ids import is_id
from taskqueue.options import TaskOptions
from taskqueue.registry import REGISTRY
from taskqueue.task import AsyncTaskFunction, CallbackTask, TaskFunction, as_task, task
from taskqueue.task.function import set_default_dispatcher

if TYPE_CHECKING:
    from collections.abc import Iterator
    from decimal import Decimal as OnlyForCheckers


class Color(enum.Enum):
    RED = "red"


@dataclasses.dataclass
class Order:
    id: int
    lines: list[str]
    due: datetime | None = None


class Item(msgspec.Struct):
    sku: str


@task(retries=3, timeout=60, label="mail", secret=("password",), retry_on=OSError)
def mail(to: str, *, count: int = 1, password: str = "") -> str:
    """Send a mail."""
    return f"{to} {count} {password}"


@task
async def sleepy(seconds: float) -> float:
    return seconds


@task
def rich(
    order: Order, when: datetime, color: Color, items: dict[str, Item], *, tags: set[str], key: UUID | None = None
) -> Order:
    return order


@task
def loose(anything, optional: int = None, *, other: OnlyForCheckers | None = None):  # noqa: RUF013  # as people write it
    return anything


@task
def many(first: int, /, second: int, *rest: int, third: int = 0, **others: int) -> tuple[Any, ...]:
    return first, second, rest, third, others


@task
def limited(size: Annotated[int, msgspec.Meta(gt=0)], mode: Literal["a", "b"] = "a") -> None: ...


@task
class Regenerate:
    """Makes it anew."""

    def __call__(self, uri: str, *, force: bool = False) -> dict[str, Any]:
        return {"uri": uri, "force": force}


class Child(Regenerate):
    pass


class Holder:
    @task
    @staticmethod
    def static(n: int) -> int:
        return n


def undecorated(n: int) -> int:
    return n


def travel(made: CallbackTask[Any]) -> Any:
    return codec.decode(codec.encode(made), REGISTRY).invoke()


def refused(function: TaskFunction[..., Any], *args: Any, **kwargs: Any) -> str:
    with pytest.raises((InvalidArguments, EncodingError)) as caught:
        codec.encode(function.bind(*args, **kwargs))
    return str(caught.value)


def test_a_task_is_still_the_function() -> None:
    assert mail("ann", count=2) == "ann 2 "
    assert mail.__name__ == "mail"
    assert mail.__doc__ == "Send a mail."
    assert list(inspect.signature(mail).parameters) == ["to", "count", "password"]
    assert Holder.static(3) == 3
    assert Regenerate()("x") == {"uri": "x", "force": False}


def test_what_was_said_stands_in_the_definition() -> None:
    definition = REGISTRY.get(f"{__name__}:mail")
    assert definition is mail.definition
    assert definition.options == TaskOptions(retries=3, timeout=60)
    assert definition.retry_on == (OSError,)
    assert definition.doc == "Send a mail."
    assert repr(mail) == f"<task {__name__}:mail>"


def test_arguments_travel_by_name() -> None:
    made = mail.bind("ann", count=2)
    assert made.parameters == {"to": "ann", "count": 2}
    assert is_id(made.id)
    assert made.label == "mail"
    assert travel(made) == "ann 2 "


def test_a_missing_default_is_filled_in_by_the_worker() -> None:
    assert mail.bind("ann").parameters == {"to": "ann"}


async def _run(coroutine: Any) -> Any:
    return await coroutine


def test_a_coroutine_function_gives_a_coroutine() -> None:
    assert isinstance(sleepy, AsyncTaskFunction)
    coroutine = travel(sleepy.bind(1))
    assert inspect.iscoroutine(coroutine)
    coroutine.close()


def test_a_class_is_built_by_the_worker() -> None:
    assert travel(CallbackTask(Regenerate, "x", force=True)) == {"uri": "x", "force": True}
    assert travel(as_task(Regenerate, "x")) == {"uri": "x", "force": False}
    assert travel(as_task(Regenerate(), "x")) == {"uri": "x", "force": False}


def test_an_instance_with_state_is_refused() -> None:
    instance = Regenerate()
    instance.__dict__["size"] = 5
    with pytest.raises(NotEnqueueable, match="its state stays in this process"):
        as_task(instance, "x")


def test_a_subclass_of_a_task_is_other_code() -> None:
    with pytest.raises(NotEnqueueable, match=f"{__name__}:Child is not registered as a task; put @task above it"):
        as_task(Child, "x")


@pytest.mark.parametrize(
    ("target", "reason"),
    [
        (undecorated, "undecorated is not registered as a task; put @task above it"),
        (lambda: 1, "a lambda"),
        (functools.partial(undecorated, 1), "a partial of"),
        (functools.partial(mail, "ann"), "a partial of"),
        ("mail", "a str cannot be called"),
    ],
)
def test_what_is_no_task_is_refused_with_the_reason(target: Any, reason: str) -> None:
    with pytest.raises(NotEnqueueable, match=reason):
        as_task(target)


def test_a_local_function_works_until_it_is_enqueued() -> None:
    @task
    def local() -> int:
        return 1

    assert local() == 1
    assert "local" in repr(local)
    with pytest.raises(NotEnqueueable, match="is defined inside a function"):
        local.bind()


def test_a_name_of_its_own_frees_a_function_from_its_module() -> None:
    @task(name="free")
    def local() -> int:
        return 1

    assert travel(local.bind()) == 1


def test_rich_values_come_back_as_their_annotations_say() -> None:
    order = Order(1, ["a"], datetime(2026, 1, 1, tzinfo=UTC))
    made = rich.bind(order, order.due, Color.RED, {"x": Item("s")}, tags={"t"}, key=uuid4())
    back = codec.decode(codec.encode(made), REGISTRY).task
    assert dict(back.parameters) == dict(made.parameters)
    assert travel(made) == order


def test_a_result_comes_back_as_its_annotation_says() -> None:
    order = Order(1, ["a"])
    stored = codec.decode_report(codec.encode_report(codec.reports.Report.success(data=order)))
    assert stored.data == {"id": 1, "lines": ["a"], "due": None}
    assert codec.result_of(stored, rich.name, REGISTRY) == order
    assert codec.result_of(stored, "elsewhere:rich", REGISTRY) == stored.data
    assert mail.definition.revive(5) == 5


@pytest.mark.parametrize(
    ("args", "kwargs", "reason"),
    [
        ((), {}, "mail needs 'to'"),
        (("a", "b"), {}, "mail takes at most 1 argument by position, 2 were given"),
        (("a",), {"to": "b"}, "mail got 'to' twice, by position and by name"),
        (("a",), {"cuont": 1}, "mail has no parameter 'cuont', did you mean 'count'?"),
        ((5,), {}, "mail: parameter 'to': expected `str`, got `int`"),
        (("a",), {"count": "1"}, "mail: parameter 'count': expected `int`, got `str`"),
        (("a",), {"count": 1.5}, "mail: parameter 'count': expected `int`, got `float`"),
        (("a",), {"count": 1.0}, "mail: parameter 'count': expected"),
        (("a",), {"count": None}, "mail: parameter 'count': expected `int`, got `null`"),
    ],
)
def test_arguments_that_do_not_fit_are_refused_at_once(
    args: tuple[Any, ...], kwargs: dict[str, Any], reason: str
) -> None:
    said = refused(mail, *args, **kwargs)
    assert said.startswith(f"{__name__}:")
    assert reason in said


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"order": {"id": 1, "lines": []}}, "'order': expected Order, got dict"),
        ({"order": Order(1, ["a", 2])}, "'order.lines[1]': expected `str`, got `int`"),
        ({"when": "2026-01-01T00:00:00Z"}, "'when': expected datetime, got str"),
        ({"when": datetime(2026, 1, 1)}, "no time zone"),  # noqa: DTZ001  # that is what is refused
        ({"color": "red"}, "'color': expected Color, got str"),
        ({"color": "blue"}, "'color': invalid enum value 'blue'"),
        ({"items": {"x": {"sku": "s"}}}, "'items.x': expected Item, got dict"),
        ({"tags": ["t"]}, "'tags': expected set, got list"),
        ({"tags": {Color.RED}}, "'tags': a Color would not come back as one"),
        ({"key": str(UUID(int=1))}, "'key': expected UUID, got str"),
    ],
)
def test_rich_values_that_would_come_back_as_others_are_refused(change: dict[str, Any], reason: str) -> None:
    right = {
        "order": Order(1, []),
        "when": datetime(2026, 1, 1, tzinfo=UTC),
        "color": Color.RED,
        "items": {},
        "tags": set(),
    }
    assert reason in refused(rich, **{**right, **change})


def test_without_an_annotation_plain_values_pass_and_typed_ones_do_not() -> None:
    assert travel(loose.bind({"a": (1, datetime(2026, 1, 1, tzinfo=UTC))})) == {
        "a": (1, datetime(2026, 1, 1, tzinfo=UTC))
    }
    assert "annotate the parameter with its type" in refused(loose, [Color.RED])
    assert "'anything[0]'" in refused(loose, [object()])
    assert "'anything': it has half a surrogate" in refused(loose, "\ud800")
    assert "'anything': an integer of more than" in refused(loose, 10**5000)


def test_an_annotation_only_for_checkers_hides_no_other() -> None:
    assert travel(loose.bind(1, other=5)) == 1
    assert travel(loose.bind(1, None)) == 1
    assert "'optional': expected `int | null`, got `str`" in refused(loose, 1, "x")


def test_constraints_of_annotations_hold() -> None:
    assert travel(limited.bind(1, "b")) is None
    assert "'size': expected `int` >= 1" in refused(limited, 0)
    assert "'mode': invalid enum value 'c'" in refused(limited, 1, "c")


def test_all_kinds_of_parameters_travel() -> None:
    assert travel(many.bind(1, 2)) == (1, 2, (), 0, {})
    assert travel(many.bind(1, 2, 3, 4, third=5, sixth=6)) == (1, 2, (3, 4), 5, {"sixth": 6})
    assert travel(many.bind(1, second=2)) == (1, 2, (), 0, {})
    assert "needs 'first', by position" in refused(many, second=2)
    assert "needs 'second'" in refused(many, 1)
    assert "'rest': expected `int`, got `str`" in refused(many, 1, 2, "x")
    assert "'sixth': expected `int`, got `str`" in refused(many, 1, 2, sixth="x")


def test_a_message_with_arguments_of_older_code_is_refused_in_the_worker() -> None:
    """P7."""
    body = codec.encode(mail.bind("ann"))
    for old, new, reason in [
        (b'"to"', b'"address"', "mail needs 'to'"),
        (b'"ann"}', b'"ann","cc":1}', "mail has no parameter 'cc'"),
        (b'"ann"', b"5", "parameter 'to': expected `str`, got `int`"),
        (b'"ann"}', b'"ann"},"args":[1]', "takes at most 1 argument by position, 2 were given"),
    ]:
        with pytest.raises(InvalidArguments, match=reason):
            codec.decode(body.replace(old, new), REGISTRY)


def test_a_secret_does_not_stand_in_the_refusal() -> None:
    """P19."""
    said = refused(mail, "ann", password=["hunter2"])
    assert "parameter 'password'" in said
    assert "hunter2" not in said


@pytest.mark.parametrize(
    ("settings", "reason"),
    [
        ({"retrys": 3}, "@task has no setting 'retrys', did you mean 'retries'?"),
        ({"priority": 11}, "option priority is 11"),
        ({"secret": ("pasword",)}, "secret names 'pasword', which is no parameter"),
        ({"secret": "password"}, "secret is a tuple of names"),
    ],
)
def test_wrong_settings_are_refused_where_they_stand(settings: dict[str, Any], reason: str) -> None:
    with pytest.raises(ConfigurationError, match=reason):
        task(**settings)(undecorated)


def test_a_task_function_is_pickled_by_its_name() -> None:
    pickled = multiprocessing.reduction.ForkingPickler.dumps(mail)
    assert multiprocessing.reduction.ForkingPickler.loads(pickled) is mail


class FakeDispatcher:
    def __init__(self, said: dict[str, Any] | None = None) -> None:
        self.said = said

    def enqueue(self, target: Any, /, *args: Any, **kwargs: Any) -> Any:
        return self.said, as_task(target, *args, **kwargs).parameters

    def options(self, **options: Any) -> FakeDispatcher:
        return FakeDispatcher(options)


@pytest.fixture
def dispatcher() -> Iterator[None]:
    from taskqueue.task import function

    before = function._provider
    yield
    set_default_dispatcher(before)


@pytest.mark.usefixtures("dispatcher")
def test_enqueue_goes_through_the_dispatcher_of_the_process() -> None:
    set_default_dispatcher(FakeDispatcher)
    assert mail.enqueue("ann") == (None, {"to": "ann"})
    assert mail.options(delay=60).enqueue("ann") == ({"delay": 60}, {"to": "ann"})


@pytest.mark.usefixtures("dispatcher")
def test_without_a_dispatcher_that_is_said() -> None:
    set_default_dispatcher(None)
    with pytest.raises(TaskQueueError, match=r"call taskqueue\.connect\(\) first"):
        mail.enqueue("ann")
