from __future__ import annotations

import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from taskqueue.ids import child_id, earliest, is_id, new_id

ID = "01a20c5a-a6df-7c96-8f33-939bc4a1a164"


def test_an_id_is_a_version_7_uuid_in_text() -> None:
    made = new_id()
    assert is_id(made)
    assert (made[14], made[19] in "89ab") == ("7", True)


def test_later_ids_sort_behind_earlier_ones() -> None:
    before = time.time_ns() // 1000
    made = new_id()
    after = time.time_ns() // 1000
    assert earliest(before) <= made
    assert made < earliest(after + 1000)


def test_ids_are_never_the_same() -> None:
    assert len({new_id() for _ in range(10_000)}) == 10_000


def test_a_childs_id_derives_from_its_parent_and_key() -> None:
    """R11: a parent that runs again adds no twin."""
    parent = new_id()
    assert child_id(parent, "a") == child_id(parent, "a")
    assert len({child_id(parent, "a"), child_id(parent, "b"), child_id(new_id(), "a")}) == 3
    assert is_id(child_id(parent, "a"))
    assert child_id(parent, "a")[:13] == parent[:13], "sorted beside its parent"


@given(st.integers(-(2**63), 2**64), st.integers(0, 2**64))
def test_bounds_are_in_the_order_of_time(micros: int, more: int) -> None:
    assert earliest(micros) <= earliest(micros + more)


@pytest.mark.parametrize("text", ["", "42", ID.upper(), ID[:-1], ID + "\n", "g" + ID[1:]])
def test_other_text_is_no_id(text: str) -> None:
    assert not is_id(text)
