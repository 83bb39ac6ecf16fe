"""A report's stored form: JSON, its data as values travel (see `taskqueue.values`)."""

from __future__ import annotations

from typing import Any

import msgspec

from taskqueue import values
from taskqueue.errors import EncodingError, MessageInvalid
from taskqueue.plain import MAX_DEPTH, is_plain
from taskqueue.registry import Registry
from taskqueue.report import Kind, Report

_encoder = msgspec.json.Encoder()
_decoder = msgspec.json.Decoder(Report)


def encode_report(report: Report) -> bytes:
    """The report's stored form. EncodingError names the place in it that cannot be stored."""
    if type(report) is Report and _is_its_own_form(report):
        return _encoder.encode(report)
    _checked(report, Report, "it", "a Report")
    try:
        return _encoder.encode(_packed_report(report, "", 0))
    except RecursionError:
        raise EncodingError("the report is nested too deeply") from None


def decode_report(body: bytes) -> Report:
    """The report of a stored form; raises MessageInvalid."""
    try:
        report = _decoder.decode(body)
        return _unpacked_report(report) if b'"$' in body else report
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError, values.Unfit) as error:
        raise MessageInvalid(f"a stored report cannot be read: {error}") from None


def result_of(report: Report, name: str, registry: Registry) -> Any:
    """What the task of that name returned, as the annotation of its result means it where the task is known here."""
    return registry.get(name).revive(report.data) if name in registry else report.data


def _is_its_own_form(report: Report) -> bool:
    """Whether it is its own stored form, as most are."""
    text, data = report.message, report.data
    named = type(report.kind) is Kind and type(text) is str and report.children == ()
    return named and is_plain(text) and is_plain(data)


def _packed_report(report: Report, path: str, depth: int) -> Report:
    """A plain report of what JSON knows. Nothing checks what is put into a Report, so that is done here."""
    if depth > MAX_DEPTH:
        raise EncodingError(f"the report is nested more than {MAX_DEPTH} levels deep")
    kind = _checked(report.kind, Kind, f"{path}kind", "a Kind, as Report.error(...) and its like set it")
    text = _checked(report.message, str, f"{path}message", "text; values go into data")
    below = _checked(report.children, (tuple, list), f"{path}children", "a tuple of reports")
    message, data = _packed(str.__str__(text), f"{path}message"), _packed(report.data, f"{path}data")
    children = []
    for number, child in enumerate(below):
        place = f"{path}children[{number}]"
        _checked(child, Report, place, "a Report, as Report.info(...) makes it")
        children.append(_packed_report(child, f"{place}.", depth + 1))
    return Report(kind, message, data, tuple(children))


def _checked(value: Any, kind: type | tuple[type, ...], place: str, wanted: str) -> Any:
    if not isinstance(value, kind):
        raise EncodingError(f"{place} is of type {type(value).__name__}; it must be {wanted}")
    return value


def _packed(value: Any, place: str) -> Any:
    try:
        return values.pack(value, typed=True)
    except values.Unfit as unfit:
        raise EncodingError(f"{place}{unfit.where}: {unfit.reason}") from None


def _unpacked_report(report: Report) -> Report:
    children = tuple(_unpacked_report(child) for child in report.children)
    return Report(report.kind, report.message, values.unpack(report.data), children)
