"""A report's stored form: JSON, its data as values travel (see `taskqueue.values`)."""

from __future__ import annotations

from typing import Any

import msgspec

from taskqueue import values
from taskqueue.errors import EncodingError, MessageInvalid
from taskqueue.registry import Registry
from taskqueue.report import Report

_encoder = msgspec.json.Encoder()
_decoder = msgspec.json.Decoder(Report)


def encode_report(report: Report) -> bytes:
    """The report's stored form. EncodingError names the place in its data that cannot be stored."""
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


def _packed_report(report: Report, path: str, depth: int) -> Report:
    if depth > values.MAX_DEPTH:
        raise EncodingError(f"the report is nested more than {values.MAX_DEPTH} levels deep")
    try:
        data = values.pack(report.data, typed=True)
        values.pack(report.message)
    except values.Unfit as unfit:
        raise EncodingError(f"{path}data{unfit.where}: {unfit.reason}") from None
    children = [_packed_report(c, f"{path}children[{n}].", depth + 1) for n, c in enumerate(report.children)]
    return Report(report.kind, report.message, data, tuple(children))


def _unpacked_report(report: Report) -> Report:
    children = tuple(_unpacked_report(child) for child in report.children)
    return Report(report.kind, report.message, values.unpack(report.data), children)
