from __future__ import annotations

import pytest

from tests.support import audit
from tests.support.audit import NOT_CHECKED, verdict

CLEAN = {"name": "click", "version": "8.2.0", "vulns": []}
UNKNOWN = {"name": "rich", "skip_reason": "Dependency not found on PyPI and could not be audited: rich (14.0.0)"}
HOLE = {"id": "PYSEC-1", "fix_versions": ["2.0"], "aliases": ["CVE-1"], "description": "..."}
BAD = {"name": "leaky", "version": "1.0", "vulns": [HOLE]}


@pytest.mark.parametrize("told", [[], [UNKNOWN]])
def test_a_service_that_tells_nothing_is_no_failure_and_no_clean_bill(told: list[dict[str, object]]) -> None:
    assert verdict(told) == ([NOT_CHECKED], 0)


def test_what_is_clean_is_silent() -> None:
    assert verdict([CLEAN, UNKNOWN]) == ([], 0)


def test_what_is_known_fails_with_what_to_do() -> None:
    assert verdict([CLEAN, BAD]) == (["leaky 1.0: PYSEC-1, fixed in 2.0"], 1)


@pytest.mark.parametrize("name", ["PYSEC-1", "CVE-1"])
def test_what_does_not_concern_us_is_passed_over_by_any_of_its_names(name: str, monkeypatch) -> None:
    monkeypatch.setattr(audit, "IGNORED", {name: "the part is not used"})
    assert verdict([BAD]) == ([], 0)
