"""The cookie of a browser: it names a caller, ends, holds no token, and nobody else can make one."""

from __future__ import annotations

import pytest

from taskqueue.settings import TokenSettings
from taskqueue.web import sessions

ANN = TokenSettings(name="ann ä.", token="the-token-of-ann-0123456789")
BOB = TokenSettings(name="bob", token="the-token-of-bob-0123456789")
KNOWN = {token.name: token for token in (ANN, BOB)}
NOW = 1_800_000_000.0


def test_whoever_has_it_is_known_until_it_ends():
    value = sessions.issue(ANN, now=NOW)
    assert sessions.read(value, KNOWN, now=NOW) == ANN
    assert sessions.read(value, KNOWN, now=NOW + sessions.LIFETIME - 1) == ANN
    assert sessions.read(value, KNOWN, now=NOW + sessions.LIFETIME) is None
    assert ANN.token not in value


def test_a_changed_or_removed_token_ends_it():
    value = sessions.issue(ANN, now=NOW)
    other = TokenSettings(name=ANN.name, token="another-token-0123456789")
    assert sessions.read(value, {ANN.name: other}, now=NOW) is None
    assert sessions.read(value, {"bob": BOB}, now=NOW) is None


def test_nobody_makes_one_for_another_or_for_longer():
    name, until, signature = sessions.issue(BOB, now=NOW).split(".")
    theirs = sessions.issue(ANN, now=NOW).split(".")
    for forged in (
        f"{theirs[0]}.{until}.{signature}",
        f"{name}.{int(until) + 1}.{signature}",
        f"{name}.{until}.{theirs[2]}",
        f"{name}.{until}.",
        f"{name}.{until}",
    ):
        assert sessions.read(forged, KNOWN, now=NOW) is None


@pytest.mark.parametrize(
    "value", ["", ".", "..", "...", "x", "%", "ä.1.2", "=.1.2", "Ym9i.x.y", "Ym9i.9999999999.ä", "\udcff.1.1"]
)
def test_nonsense_is_nobody(value):
    assert sessions.read(value, KNOWN, now=NOW) is None
