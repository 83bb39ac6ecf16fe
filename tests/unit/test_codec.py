from __future__ import annotations

import enum
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from taskqueue import codec
from taskqueue.errors import EncodingError, InvalidArguments, MessageInvalid, TaskQueueError, UnknownTask
from taskqueue.ids import new_id
from taskqueue.options import TaskOptions
from taskqueue.registry import REGISTRY, Registry
from taskqueue.report import Kind, Report
from taskqueue.task import AbstractTask, NamedTask, task


@task(secret=("password",))
def login(user: str, password: str, *args: int, attempts: int = 1, remember: bool = False) -> None: ...


@task
def anything(value: Any) -> Any:
    return value


class Upload(AbstractTask):
    secret = ("token",)

    def __call__(self) -> None: ...


BODY = codec.encode(anything.bind(1))


def body(**fields: Any) -> bytes:
    return msgspec.json.encode(msgspec.json.decode(BODY) | fields)


def invalid(message: bytes) -> str:
    with pytest.raises(MessageInvalid) as caught:
        codec.decode(message, REGISTRY)
    return str(caught.value)


def test_a_message_is_readable_json() -> None:
    made = anything.bind([1, "ü"])
    assert msgspec.json.decode(codec.encode(made)) == {
        "v": 1,
        "id": made.id,
        "task": f"{__name__}:anything",
        "created": made.created_at,
        "params": {"value": [1, "ü"]},
    }


def test_what_was_said_at_the_enqueue_travels() -> None:
    made = anything.bind(1)
    made.owner, made.label, made.category, made.parent_id, made.master_status = "ann", "l", "c", new_id(), True
    options = TaskOptions(retries=2, timeout=0.5)
    decoded = codec.decode(codec.encode(made, options), REGISTRY)
    assert decoded.options == options
    assert (decoded.owner, decoded.parent_id, decoded.master_status) == ("ann", made.parent_id, True)
    assert codec.peek(codec.encode(made, options)).options == options
    assert decoded.task.label == "l"
    assert decoded.task.category == "c"


def test_options_that_say_nothing_take_no_room() -> None:
    assert b"options" not in codec.encode(anything.bind(1), TaskOptions())


def test_a_message_can_be_read_without_knowing_its_task() -> None:
    """P7: what a worker does not know it can still name."""
    header = codec.peek(codec.encode(NamedTask("elsewhere:mail", {"to": {"$odd": 1}})))
    assert header.name == "elsewhere:mail"


def test_an_unknown_task_is_told_from_a_broken_message() -> None:
    """P7."""
    with pytest.raises(UnknownTask, match=rf"no task '{__name__}:anythin' in this process, did you mean"):
        codec.decode(body(task=f"{__name__}:anythin"), REGISTRY)
    with pytest.raises(UnknownTask, match=r"its module must be in \[app\] modules"):
        codec.decode(BODY, Registry())


def test_decoding_imports_nothing() -> None:
    """P8."""
    with pytest.raises(UnknownTask):
        codec.decode(body(task="os:system", params={"command": "true"}), REGISTRY)


@pytest.mark.parametrize(
    ("message", "reason"),
    [
        (b"", "0 bytes that are no message of ours"),
        (b"\x80\x04pickle", "bytes that are no message of ours"),
        (b'"\xff"', "bytes that are no message of ours"),
        (b"[1, 2]", "expected `object`, got `array`"),
        (b"{}", "missing required field `v`"),
        (b"[" * 100_000, "bytes that are no message of ours"),
        (b'{"v":1,"params":{"a":' + b"[" * 100_000, "bytes that are no message of ours"),
        (body(id=5), "expected `str`, got `int` - at `$.id`"),
        (body(id="1; DROP TABLE"), "'1; DROP TABLE' is no task id"),
        (body(params=[1]), "expected `object`, got `array` - at `$.params`"),
        (body(created="now"), "at `$.created`"),
        (body(options={"retries": "many"}), "at `$.options.retries`"),
        (body(options={"priority": 11}), "option priority is 11"),
        (body(params={"value": {"$datetime": "soon"}}), "argument 'value': 'soon' is no datetime"),
        (body(params={"value": {"$image": "x"}}), "unknown kind of value '$image'"),
        (body(params={"value": 1}).replace(b'"value":1', b'"value":' + b"9" * 5000), "out of range"),
    ],
)
def test_each_broken_message_is_said_to_be_so(message: bytes, reason: str) -> None:
    """P7."""
    assert reason.lower() in invalid(message).lower()
    assert len(invalid(message)) < 300


def test_a_newer_version_is_said_to_be_newer() -> None:
    """P21."""
    assert "message of version 2; this release reads version 1" in invalid(body(v=2))
    assert "written by a newer release" in invalid(b'{"v":7,"everything":"else"}')


def test_fields_of_newer_releases_are_passed_over() -> None:
    """P21."""
    assert codec.decode(body(deadline=5), REGISTRY).invoke() == 1


def test_a_deep_value_is_refused_or_runs_but_never_breaks() -> None:
    deep = b"[" * 150 + b"]" * 150
    tagged = b'{"$tuple":[' * 150 + b"]}" * 150
    plain = BODY.replace(b'"value":1', b'"value":' + deep)
    assert codec.decode(plain, REGISTRY).invoke() is not None
    assert "levels deep" in invalid(BODY.replace(b'"value":1', b'"value":' + tagged))
    with pytest.raises(EncodingError, match="levels deep"):
        codec.encode(anything.bind(codec.decode(plain, REGISTRY).invoke()))


@given(st.binary(max_size=200) | st.recursive(st.none() | st.integers() | st.text(), st.lists).map(msgspec.json.encode))
def test_any_bytes_raise_our_errors_only(junk: bytes) -> None:
    """P7."""
    for read in (codec.peek, codec.decode_report, lambda b: codec.decode(b, REGISTRY)):
        with pytest.raises(TaskQueueError):
            read(junk)


FIELDS = st.fixed_dictionaries(
    {},
    optional={
        name: st.recursive(
            st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
            lambda inner: (
                st.lists(inner) | st.dictionaries(st.text() | st.sampled_from(["$set", "$dict", "$uuid"]), inner)
            ),
            max_leaves=5,
        )
        for name in ("v", "id", "task", "created", "params", "args", "owner", "options", "secret", "parent")
    },
)


@given(FIELDS)
def test_any_fields_raise_our_errors_only(fields: dict[str, Any]) -> None:
    """P7."""
    try:
        codec.decode(body(**fields), REGISTRY)
    except TaskQueueError:
        return


@given(st.dictionaries(st.sampled_from(["user", "password", "attempts", "x"]), st.none() | st.integers() | st.text()))
def test_any_arguments_are_refused_at_the_enqueue_or_fit_in_the_worker(kwargs: dict[str, Any]) -> None:
    try:
        sent = codec.encode(login.bind(**kwargs))
    except TaskQueueError:
        return
    assert codec.decode(sent, REGISTRY).task.parameters == kwargs


def test_a_message_under_another_id_is_otherwise_the_same() -> None:
    made = login.bind("ann", "pw", 1, 2)
    made.owner = "ann"
    sent, fresh = codec.encode(made), new_id()
    again = codec.reissue(sent, id=fresh, created_at=5)
    assert msgspec.json.decode(again) == msgspec.json.decode(sent) | {"id": fresh, "created": 5}
    with pytest.raises(MessageInvalid):
        codec.reissue(b"{}", id=fresh, created_at=5)


def test_secrets_are_not_shown() -> None:
    """P19."""
    assert codec.masked_parameters(codec.encode(login.bind("ann", "pw"))) == {"user": "ann", "password": "***"}
    upload = Upload()
    upload.set_parameters({"token": "t", "file": "f"})
    assert codec.masked_parameters(codec.encode(upload)) == {"token": "***", "file": "f"}


def test_secrets_of_a_producer_without_the_code_are_masked_where_the_code_is() -> None:
    sent = codec.encode(NamedTask(login.name, {"password": "pw"}))
    assert codec.masked_parameters(sent, login.definition) == {"password": "***"}


def test_arguments_by_position_are_masked_where_one_may_be_secret() -> None:
    @task(name="hidden", secret=("password",))
    def hidden(password: str, /) -> None: ...

    assert codec.masked_parameters(codec.encode(hidden.bind("pw"))) == {"*": ["***"]}
    assert codec.masked_parameters(codec.encode(login.bind("a", "pw", 7)))["*"] == [7]


def test_an_owner_of_no_reasonable_length_is_refused() -> None:
    made = anything.bind(1)
    made.owner = "x" * 256
    with pytest.raises(EncodingError, match="owner has 256 characters; 255 is the most"):
        codec.encode(made)


@pytest.mark.parametrize(
    ("fields", "says"),
    [
        ({"task": "x" * 256}, "name has 256 characters; 255 is the most"),
        ({"owner": "a\0b"}, "owner has a NUL character"),
        ({"label": "x" * 256}, "label has 256 characters"),
        ({"parent": "p" * 37}, "parent_id has 37 characters; 36 is the most"),
        ({"created": 2**64 - 1}, "is no time"),
    ],
)
def test_a_header_that_no_task_log_could_store_is_refused(fields: dict[str, Any], says: str) -> None:
    """P7: filing it would fail at each claim of the message, and with it the worker's turn."""
    with pytest.raises(MessageInvalid, match=says):
        codec.peek(body(**fields))


def test_a_text_that_databases_refuse_is_refused_at_the_enqueue() -> None:
    made = anything.bind(1)
    made.label = "a\0b"
    with pytest.raises(EncodingError, match="label has a NUL character"):
        codec.encode(made)


def test_reports_come_back_as_they_went() -> None:
    report = Report.warning("careful", {"seen": {1, 2}, "by": ("ann",)}).with_children(
        Report.info("one", b"x"), Report.error("two").with_children(Report.success())
    )
    assert codec.decode_report(codec.encode_report(report)) == report


def test_a_report_is_readable_json() -> None:
    assert codec.encode_report(Report.success("done", 3)) == b'{"kind":"success","message":"done","data":3}'


def test_a_report_that_cannot_be_stored_names_the_place() -> None:
    report = Report.success().with_children(Report.info(), Report.info(data={"files": [object()]}))
    with pytest.raises(EncodingError, match=r"^children\[1\]\.data\.files\[0\]: a object cannot"):
        codec.encode_report(report)
    with pytest.raises(EncodingError, match="surrogate"):
        codec.encode_report(Report.error("\ud800"))


def test_a_report_that_never_ends_is_refused() -> None:
    report = Report.info()
    for _ in range(200):
        report = Report.info().with_children(report)
    with pytest.raises(EncodingError, match="levels deep"):
        codec.encode_report(report)


@pytest.mark.parametrize("stored", [b"", b"{}", b'{"kind":"splendid"}', b'{"kind":"info","data":{"$uuid":1}}'])
def test_a_stored_report_that_is_none_is_said_to_be_so(stored: bytes) -> None:
    with pytest.raises(MessageInvalid, match="a stored report cannot be read"):
        codec.decode_report(stored)
    assert Kind("info") is Kind.INFO


@task
def typed(count: int, ratio: float, names: list[str], *, on: bool, note: str = "", key: int | None = None) -> None: ...


def test_what_a_person_types_is_converted_by_the_annotations() -> None:
    pairs = ["count=3", "ratio=0.5", "on=true", 'names:=["a", "b"]', "note=a=b", "key:=null"]
    assert codec.from_json_arguments(typed.definition, pairs) == {
        "count": 3,
        "ratio": 0.5,
        "on": True,
        "names": ["a", "b"],
        "note": "a=b",
        "key": None,
    }


@pytest.mark.parametrize(
    ("pair", "reason"),
    [
        ("count=three", "parameter 'count': expected `int`, got `str`"),
        ("cuont=3", "has no parameter 'cuont', did you mean 'count'?"),
        ("count", "argument 'count' is neither name=value nor name:=json"),
        ("=3", "is neither"),
        ("names:=[", "argument 'names': '[' is no JSON"),
        ("names=a", "parameter 'names': expected `array`, got `str`"),
    ],
)
def test_what_a_person_mistypes_is_refused(pair: str, reason: str) -> None:
    with pytest.raises(InvalidArguments) as caught:
        codec.from_json_arguments(typed.definition, [pair])
    assert reason in str(caught.value)


def test_without_the_code_strings_stay_strings() -> None:
    assert codec.from_json_arguments(None, ["a=1", "b:=1"]) == {"a": "1", "b": 1}
    assert codec.from_json_arguments(REGISTRY.get(f"{__name__}:Upload"), ["file=f"]) == {"file": "f"}


def test_typed_arguments_make_a_task() -> None:
    typed_in = codec.convert_arguments(login.definition, {"user": "ann", "password": "x", "attempts": "3"})
    assert login.definition.create(typed_in).parameters == {"user": "ann", "password": "x", "attempts": 3}
    upload = REGISTRY.get(f"{__name__}:Upload").create({"file": "f"})
    assert isinstance(upload, Upload)
    assert upload.parameters == {"file": "f"}


class Loud(Report):
    volume: int = 11


ODD_REPORTS = [
    ({"a": 1}, "it is of type dict"),
    (Report.success({"a": 1}), "message is of type dict"),  # type: ignore[arg-type]  # what is tested
    (Report("error"), "kind is of type str"),  # type: ignore[arg-type]  # what is tested
    (Report(Kind.INFO, children="text"), "children is of type str"),  # type: ignore[arg-type]  # what is tested
    (Report(Kind.INFO, children=("text",)), r"children\[0\] is of type str"),  # type: ignore[arg-type]  # what is tested
    (
        Report.info().with_children(Report.info(), Report.info(None)),  # type: ignore[arg-type]  # what is tested
        r"children\[1\]\.message is of type NoneType",
    ),
    (Report.info("\ud800"), "message: it has half a surrogate pair"),
    (Loud(Kind.INFO, data=object()), "data: "),
]


@pytest.mark.parametrize(("report", "said"), ODD_REPORTS)
def test_what_is_no_proper_report_is_refused_by_its_place(report: Report, said: str) -> None:
    with pytest.raises(EncodingError, match=said):
        codec.encode_report(report)


class Word(enum.StrEnum):
    DONE = "done"


def test_a_report_of_an_application_s_own_kind_is_stored_as_a_plain_one() -> None:
    stored = codec.encode_report(Loud(Kind.INFO, Word.DONE, children=[Report.info("below")], volume=12))  # type: ignore[arg-type]  # a list does as well
    assert codec.decode_report(stored) == Report.info("done").with_children(Report.info("below"))


def test_only_reports_stand_below_a_report() -> None:
    with pytest.raises(TypeError, match="takes reports"):
        Report.info().with_children("text")  # type: ignore[arg-type]  # what is tested


def test_a_report_that_is_an_error_by_word_alone_counts_as_one() -> None:
    assert Report("error").failed  # type: ignore[arg-type]  # what is tested
