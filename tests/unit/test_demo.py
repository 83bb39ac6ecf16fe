from __future__ import annotations

import os
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from taskqueue import Report, Status
from taskqueue.demo.files import Measures, Tree, measure, original, sha256, shown, standard_library
from taskqueue.demo.summary import Child, problems
from taskqueue.demo.words import count, shortened, sized
from taskqueue.tasklog.entry import Entry

LATER = 2**60


@given(st.binary().map(os.fsdecode))
def test_any_file_name_comes_back_from_its_shown_form(name: str) -> None:
    assert original(shown(name)) == name
    assert shown(name).isprintable()
    shown(name).encode()


@pytest.mark.parametrize(
    ("name", "text"),
    [
        (b"a b.py", "a b.py"),
        ("Büro/ä.txt".encode(), "Büro/ä.txt"),
        (b"100%.txt", "100%25.txt"),
        (b"two\nlines", "two%0Alines"),
        (b"\xff\x1b[31m", "%FF%1B[31m"),
    ],
)
def test_a_shown_name_is_as_readable_as_can_be(name: bytes, text: str) -> None:
    assert shown(os.fsdecode(name)) == text


@pytest.mark.parametrize(("content", "lines"), [(b"", 0), (b"one", 1), (b"one\n", 1), (b"one\ntwo", 2), (b"\n\n", 2)])
def test_a_file_is_measured(tmp_path: Path, content: bytes, lines: int) -> None:
    (tmp_path / "file").write_bytes(content)
    found = measure(str(tmp_path), "file")
    assert (found.path, found.size, found.lines) == ("file", len(content), lines)
    assert found.sha256 == sha256(str(tmp_path), "file")
    assert found.compressed > 0


def test_a_tree_has_regular_files_only(tmp_path: Path) -> None:
    for name in ("b.py", "a.py", "notes.txt", "below/c.py", "skipped/d.py", "own/e.py"):
        path = tmp_path / name
        path.parent.mkdir(exist_ok=True)
        path.touch()
    os.mkfifo(tmp_path / "pipe.py")
    (tmp_path / "link.py").symlink_to(tmp_path / "a.py")
    (tmp_path / "dangling.py").symlink_to("nowhere")
    tree = Tree(str(tmp_path), ".py", ("skipped",)).without(tmp_path / "own")
    assert tree.files() == ["a.py", "b.py", "below/c.py"]


def test_the_standard_library_has_files() -> None:
    files = standard_library().files()
    assert len(files) > 500
    assert "json/decoder.py" in files
    assert not [name for name in files if "site-packages" in name]


@pytest.mark.parametrize(
    ("number", "text"), [(0, "0 bytes"), (1, "1 byte"), (999, "999 bytes"), (1234, "1.2 kB"), (5e12, "5.0 TB")]
)
def test_sizes_read_well(number: float, text: str) -> None:
    assert sized(number) == text


def test_numbers_and_long_paths_read_well() -> None:
    assert (count(1, "file"), count(1702, "file")) == ("1 file", "1,702 files")
    assert shortened("a/very/long/path.py", 8) == "…path.py"
    assert shortened("short.py", 8) == "short.py"


@pytest.fixture
def tree(tmp_path: Path) -> Tree:
    for name in ("a", "b"):
        (tmp_path / name).write_text(name)
    return Tree(str(tmp_path))


def child(tree: Tree, path: str, **changes: object) -> Child:
    found = measure(tree.folder, path)
    values = {name: getattr(found, name) for name in Measures.__struct_fields__} | changes
    entry = Entry(id=path, name="measure", queue="default", status=Status.COMPLETED, created_at=0)
    return Child(path, entry, Report.success(), Measures(**values))


def failed(path: str) -> Child:
    entry = Entry(id=path, name="measure", queue="default", status=Status.FAILED, created_at=0)
    return Child(path, entry, Report.error("PermissionError"), None)


def test_what_is_right_is_no_problem(tree: Tree) -> None:
    assert problems(tree, ["a", "b"], [child(tree, "a"), child(tree, "b")], began=LATER) == []


def test_a_missing_file_is_a_problem(tree: Tree) -> None:
    assert problems(tree, ["a", "b"], [child(tree, "a")], began=LATER) == ["missing: b"]


def test_a_file_counted_twice_is_a_problem(tree: Tree) -> None:
    children = [child(tree, "a"), child(tree, "b"), child(tree, "a")]
    assert problems(tree, ["a", "b"], children, began=LATER) == ["counted 2 times: a"]


def test_a_wrong_digest_is_a_problem_unless_the_file_was_changed(tree: Tree) -> None:
    children = [child(tree, "a", sha256="0" * 64), child(tree, "b")]
    (problem,) = problems(tree, ["a", "b"], children, began=LATER)
    assert "SHA-256" in problem
    assert problems(tree, ["a", "b"], children, began=0) == []


def test_a_file_that_only_the_task_could_not_read_is_a_problem(tree: Tree, tmp_path: Path) -> None:
    children = [child(tree, "a"), failed("b")]
    assert problems(tree, ["a", "b"], children, began=LATER) == ["failed, though it can be read: b"]
    (tmp_path / "b").unlink()
    assert problems(tree, ["a", "b"], children, began=LATER) == []
