from __future__ import annotations

import dataclasses
import enum
from collections import OrderedDict, defaultdict
from datetime import UTC, date, datetime, time, timedelta, timezone
from decimal import Decimal
from typing import Any, NamedTuple
from uuid import UUID

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from taskqueue.plain import MAX_DEPTH
from taskqueue.values import MAX_BITS, Unfit, pack, unpack

# Fixed offsets: by PEP 495 a local time that a clock change repeats equals no time of another zone, not even its own.
ZONES = st.just(UTC) | st.integers(-1439, 1439).map(lambda minutes: timezone(timedelta(minutes=minutes)))
LEAVES = (
    st.none()
    | st.booleans()
    | st.integers(-(2 ** (MAX_BITS - 1)), 2 ** (MAX_BITS - 1))
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(st.characters(codec="utf-8"))
    | st.datetimes(timezones=ZONES)
    | st.dates()
    | st.times()
    | st.timedeltas()
    | st.uuids()
    | st.decimals(allow_nan=False)
    | st.binary()
)
HASHABLE = st.integers() | st.text(st.characters(codec="utf-8")) | st.uuids() | st.dates()
VALUES = st.recursive(
    LEAVES | st.sets(HASHABLE) | st.frozensets(HASHABLE),
    lambda inner: (
        st.lists(inner)
        | st.lists(inner).map(tuple)
        | st.dictionaries(st.text(st.characters(codec="utf-8")) | st.sampled_from(["$datetime", "$dict", "$"]), inner)
    ),
    max_leaves=20,
)


class Color(enum.Enum):
    RED = "red"


@dataclasses.dataclass
class Order:
    id: int
    due: datetime | None = None


class Point(NamedTuple):
    x: int
    y: int


def through_json(value: Any) -> Any:
    return unpack(msgspec.json.decode(msgspec.json.encode(pack(value))))


def why(value: Any, *, typed: bool = False) -> Unfit:
    with pytest.raises(Unfit) as caught:
        pack(value, typed=typed)
    return caught.value


@given(VALUES)
def test_values_come_back_as_they_went(value: Any) -> None:
    back = through_json(value)
    assert back == value
    assert type(back) is type(value)


def test_plain_json_travels_untouched() -> None:
    value = {"a": [1, 2.5, "ü", True, None, {"b": []}]}
    assert pack(value) == value


def test_other_values_are_tagged() -> None:
    assert pack(datetime(2026, 1, 31, 8, tzinfo=UTC)) == {"$datetime": "2026-01-31T08:00:00+00:00"}
    assert pack((1, b"hi")) == {"$tuple": [1, {"$bytes": "aGk="}]}


def test_a_dict_that_looks_like_a_tag_is_still_a_dict() -> None:
    assert through_json({"$datetime": "tomorrow"}) == {"$datetime": "tomorrow"}
    assert through_json({"$dict": {"$dict": {}}}) == {"$dict": {"$dict": {}}}


def test_a_datetime_keeps_its_offset() -> None:
    moment = datetime.fromisoformat("2026-01-31T08:00:00.000001+05:30")
    assert through_json(moment).isoformat() == moment.isoformat()


def test_subclasses_of_plain_types_travel_as_their_base() -> None:
    class Safe(str):
        __slots__ = ()

    assert type(pack(Safe("x"))) is str
    assert through_json([OrderedDict(a=1), defaultdict(list, b=[2])]) == [{"a": 1}, {"b": [2]}]


@pytest.mark.parametrize("value", [Color.RED, Order(1), Point(1, 2)])
def test_typed_values_are_refused_where_nothing_says_what_they_were(value: Any) -> None:
    assert "annotate the parameter with its type" in why(value).reason


def test_typed_values_are_let_through_where_asked_for() -> None:
    moment = datetime(2026, 1, 1, tzinfo=UTC)
    assert pack([Color.RED, Order(1, moment), Point(1, 2)], typed=True) == [
        "red",
        {"id": 1, "due": {"$datetime": moment.isoformat()}},
        [1, 2],
    ]


@pytest.mark.parametrize(
    ("value", "reason"),
    [
        (datetime(2026, 1, 1), "no time zone"),  # noqa: DTZ001  # that is what is refused
        (float("nan"), "nan has no form in JSON"),
        (float("-inf"), "-inf has no form in JSON"),
        (2**MAX_BITS, "more than 4096 bits"),
        ("\ud800", "surrogate"),
        ({1: "x"}, "the key 1; keys must be strings"),
        ({Color.RED: "x"}, "keys must be strings"),
        (object(), "a object cannot be put into a message"),
        (bytearray(b"x"), "a bytearray cannot"),
        (Order, "a type cannot"),
        (1j, "a complex cannot"),
    ],
)
def test_what_cannot_travel_is_refused_with_the_reason(value: Any, reason: str) -> None:
    assert reason in why(value).reason


def test_the_refusal_names_the_place() -> None:
    assert why({"items": [1, (2, {"x": object()})]}).where == ".items[1][1].x"
    assert why([Order(1), Order(datetime(2026, 1, 1))], typed=True).where == "[1].id"  # noqa: DTZ001  # wrong on purpose


def test_what_never_ends_is_refused() -> None:
    loop: list[Any] = []
    loop.append(loop)
    assert f"more than {MAX_DEPTH} levels" in why(loop).reason
    order = Order(1)
    order.due = order
    assert "it contains itself" in why(order, typed=True).reason


@pytest.mark.parametrize(
    ("wire", "reason"),
    [
        ({"$datetime": "soon"}, "'soon' is no datetime"),
        ({"$datetime": "2026-01-01T00:00:00"}, "is no datetime"),
        ({"$datetime": 5}, "'5' is no datetime"),
        ({"$uuid": []}, "is no uuid"),
        ({"$uuid": 5}, "is no uuid"),
        ({"$bytes": "!"}, "is no bytes"),
        ({"$decimal": {}}, "is no decimal"),
        ({"$timedelta": 10**40}, "is no timedelta"),
        ({"$tuple": 5}, "is no tuple"),
        ({"$set": {"a": 1}}, "is no set"),
        ({"$frozenset": "ab"}, "is no frozenset"),
        ({"$future": 1}, "unknown kind of value '$future'"),
        ({"$dict": 1}, "'1' is no dict"),
    ],
)
def test_bad_wire_forms_are_refused_with_the_reason(wire: Any, reason: str) -> None:
    with pytest.raises(Unfit) as caught:
        unpack({"a": [wire]})
    assert reason in caught.value.reason
    assert caught.value.where == ".a[0]"


def test_a_deep_wire_form_is_refused() -> None:
    deep: Any = []
    for _ in range(MAX_DEPTH + 1):
        deep = [deep]
    with pytest.raises(Unfit, match="levels deep"):
        unpack(deep)


def test_every_kind_has_a_stable_form() -> None:
    values = {
        "date": date(2026, 1, 31),
        "time": time(8, 30),
        "timedelta": timedelta(days=1, microseconds=1),
        "uuid": UUID(int=1),
        "decimal": Decimal("1.10"),
    }
    assert pack(values) == {
        "date": {"$date": "2026-01-31"},
        "time": {"$time": "08:30:00"},
        "timedelta": {"$timedelta": 86_400_000_001},
        "uuid": {"$uuid": "00000000-0000-0000-0000-000000000001"},
        "decimal": {"$decimal": "1.10"},
    }
