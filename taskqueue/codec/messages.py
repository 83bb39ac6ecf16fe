"""A task's wire form: versioned JSON.

    {"v":1,"id":"0192...","task":"shop.tasks:mail","created":1767225600000000,"params":{"to":"ann"}}

beside which stand, where said, `args` (what can only be given by position), `owner`, `label`, `category`, `parent`,
`master_status`, `options`, `secret` and `trace`. A released version is read for ever (`tests/contract/golden`); fields
may be added to it, which older readers ignore, and anything else is a new version. Decoding imports nothing (P8).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec

from taskqueue import ids, values
from taskqueue.errors import EncodingError, InvalidArguments, MessageInvalid
from taskqueue.options import NOTHING_SAID, TaskOptions
from taskqueue.registry import Definition, Registry
from taskqueue.task.base import AbstractTask

VERSION = 1
#: what a task log has room for: characters of a text and of an id, microseconds since 1970
MAX_TEXT, MAX_ID, MAX_TIME = 255, 36, 2**63 - 1
MASK = "***"


class Header(msgspec.Struct, frozen=True, omit_defaults=True):
    """What a message says of its task, without its arguments."""

    v: int
    id: str
    name: str = msgspec.field(name="task")
    created_at: int = msgspec.field(name="created")
    owner: str | None = None
    label: str | None = None
    category: str | None = None
    parent_id: str | None = msgspec.field(name="parent", default=None)
    master_status: bool = False
    #: what was said at the enqueue
    options: TaskOptions = NOTHING_SAID
    #: parameters whose values are not to be shown
    secret: tuple[str, ...] = ()
    #: what a tracer sent along (`taskqueue.tracing`)
    trace: dict[str, str] | None = None


class _Message(Header, frozen=True, omit_defaults=True):
    params: dict[str, Any] = {}
    args: list[Any] = []


class _RawMessage(Header, frozen=True, omit_defaults=True):
    params: msgspec.Raw = msgspec.Raw(b"{}")
    args: msgspec.Raw = msgspec.Raw(b"[]")


class _Version(msgspec.Struct):
    v: int


class DecodedTask(msgspec.Struct, frozen=True):
    """A message whose task this process knows and whose arguments fit."""

    header: Header
    definition: Definition
    task: AbstractTask

    @property
    def id(self) -> str:
        """The task's id."""
        return self.header.id

    @property
    def name(self) -> str:
        """What the message calls the task."""
        return self.header.name

    @property
    def owner(self) -> str | None:
        """Whose task it is."""
        return self.header.owner

    @property
    def parent_id(self) -> str | None:
        """The task that created it."""
        return self.header.parent_id

    @property
    def master_status(self) -> bool:
        """Its own report decides its status, whatever becomes of its children."""
        return self.header.master_status

    @property
    def options(self) -> TaskOptions:
        """What was said at the enqueue."""
        return self.header.options

    def invoke(self) -> Any:
        """Run it: its result, or the coroutine of it."""
        return self.task()


_encoder = msgspec.json.Encoder()
_decoders = {kind: msgspec.json.Decoder(kind) for kind in (Header, _Message, _RawMessage)}


def encode(task: AbstractTask, options: TaskOptions = NOTHING_SAID, *, trace: Mapping[str, str] | None = None) -> bytes:
    """The task's message. Raises NotEnqueueable, InvalidArguments or EncodingError, which names the parameter."""
    params, args = task.wire_arguments()
    if (unfit := _unfit(task)) is not None:
        raise EncodingError(f"{task.name}: {unfit}")
    message = _Message(
        VERSION,
        task.id,
        task.name,
        task.created_at,
        task.owner,
        task.label,
        task.category,
        task.parent_id,
        task.master_status,
        NOTHING_SAID if options == NOTHING_SAID else options,
        task.secrets,
        dict(trace) if trace else None,
        params,
        args,
    )
    try:
        return _encoder.encode(message)
    except (UnicodeEncodeError, ValueError, OverflowError, RecursionError) as error:
        raise _unencodable(task, params, error) from None


def decode(body: bytes, registry: Registry) -> DecodedTask:
    """The task of a message. Raises MessageInvalid, UnknownTask or InvalidArguments, and nothing else (P7)."""
    message: _Message = _read(body, _Message)
    definition = registry.get(message.name)
    params, args = message.params, message.args
    if b'"$' in body:
        params, args = _unpack_arguments(message)
    try:
        task = definition.restore(params, args)
    except RecursionError:
        raise MessageInvalid(f"message {message.id}: its arguments are nested too deeply") from None
    task._id, task.created_at, task.owner = message.id, message.created_at, message.owner  # noqa: SLF001  # no fresh id
    task.label, task.category, task.parent_id = message.label, message.category, message.parent_id
    task.master_status = message.master_status
    return DecodedTask(message, definition, task)


def peek(body: bytes) -> Header:
    """What a message says of its task, whether or not this process knows it; raises MessageInvalid.

    A header that no task log could store is none: each claim of the message would fail, and with it the worker's turn.
    """
    header: Header = _read(body, Header)
    if (unfit := _unfit(header)) is not None:
        raise MessageInvalid(f"message {header.id}: {unfit}")
    return header


def reissue(
    body: bytes,
    *,
    id: str,  # noqa: A002  # our word for it
    created_at: int,
    trace: Mapping[str, str] | None = None,
) -> bytes:
    """The same message under another id, its arguments untouched; raises MessageInvalid."""
    message: _RawMessage = _read(body, _RawMessage)
    of = dict(trace) if trace else None
    return _encoder.encode(msgspec.structs.replace(message, id=id, created_at=created_at, trace=of))


def masked_parameters(body: bytes, definition: Definition | None = None) -> dict[str, Any]:
    """A message's parameters for people, secrets as "***"; those given by position stand under "*" (P19)."""
    message: _Message = _read(body, _Message)
    params, args = _unpack_arguments(message)
    secret = {*message.secret, *(definition.secret if definition else ())}
    shown = {name: MASK if name in secret else value for name, value in params.items()}
    if args:
        shown["*"] = [MASK] * len(args) if secret - params.keys() else args
    return shown


def _read(body: bytes, kind: type[Header]) -> Any:
    try:
        message = _decoders[kind].decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError, InvalidArguments) as error:
        raise _unreadable(body, error) from None
    if message.v != VERSION or not ids.is_id(message.id):
        raise _unreadable(body, ValueError(f"{message.id[:50]!r} is no task id"))
    return message


def _unreadable(body: bytes, error: Exception) -> MessageInvalid:
    try:
        version = msgspec.json.decode(body, type=_Version).v
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        version = VERSION
    if version != VERSION:
        return MessageInvalid(
            f"message of version {version}; this release reads version {VERSION}: it was written by a newer release, "
            "so upgrade this one"
        )
    return MessageInvalid(f"{len(body)} bytes that are no message of ours: {error}")


def _unpack_arguments(message: _Message) -> tuple[dict[str, Any], list[Any]]:
    try:
        return values.unpack_each(message.params), values.unpack(message.args)
    except values.Unfit as unfit:
        raise MessageInvalid(f"message {message.id}: argument '{unfit.where.lstrip('.')}': {unfit.reason}") from None


def _unfit(said: Header | AbstractTask) -> str | None:
    """Why no task log could store what is said of a task, or None."""
    for name in ("name", "owner", "label", "category", "parent_id"):
        value, most = getattr(said, name), MAX_ID if name == "parent_id" else MAX_TEXT
        if value is not None and len(value) > most:
            return f"{name} has {len(value):,} characters; {most} is the most"
        if value is not None and "\0" in value:
            return f"{name} has a NUL character, which databases refuse"
    if not abs(said.created_at) <= MAX_TIME:
        return f"{said.created_at} is no time"
    return None


def _unencodable(task: AbstractTask, params: Mapping[str, Any], error: Exception) -> EncodingError:
    for name, value in params.items():
        try:
            values.pack(value)
            values.pack(name)
        except values.Unfit as unfit:
            return EncodingError(f"{task.name}: parameter '{name!s}{unfit.where}': {unfit.reason}")
    return EncodingError(f"{task.name} cannot be put into a message: {error}")
