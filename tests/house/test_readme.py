"""What README.md says is so: its files are accepted, its code runs, its commands print what it shows."""

from __future__ import annotations

import configparser
import itertools
import re
import shlex
import signal
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import click
import pytest
import tomli

from supervisor.cli.program import COMMANDS as SUPERVISOR_COMMANDS
from supervisor.cli.program import program
from taskqueue.cli.program import COMMANDS
from taskqueue.settings import SupervisorSettings, parse
from taskqueue.settings.resolve import TABLES
from tests.bench import chaos
from tests.support import readme
from tests.support.eventually import eventually
from tests.support.readme import Block, alike, blocks, lay_out, type_in, typed

#: how a block is checked
CHECKED = {"python", "toml", "console", "ini"}


def runs(section: str) -> bool:
    return any(block.language == "console" or block.path is None for block in blocks(section=section))


@pytest.fixture
def beside(tmp_path: Path) -> Iterator[Callable[[str], Path]]:
    """Start a program beside the others, and give its log; it is told to leave at the end, and leaves with 0."""
    started: list[subprocess.Popen[bytes]] = []

    def start(command: str) -> Path:
        log = tmp_path / f"log-{len(started)}"
        with log.open("wb") as out:
            started.append(
                subprocess.Popen(
                    shlex.split(f"env/bin/{command}"),
                    cwd=tmp_path,
                    env=readme.environment(tmp_path),
                    stdout=out,
                    stderr=out,
                )
            )
        return log

    yield start
    for process in started:
        process.send_signal(signal.SIGTERM)
        assert process.wait(30) == 0


@pytest.mark.process
@pytest.mark.timeout(180)
@pytest.mark.parametrize("section", [s for s in readme.sections() if runs(s)])
def test_a_section_does_what_it_says(section, tmp_path, beside):
    lay_out(tmp_path, upto=section)
    port = readme.with_a_free_port(tmp_path)
    if section != readme.FIRST:
        assert type_in("taskqueue init", tmp_path)[0] == 0
    snippets = [block for block in blocks("python", section=section) if block.path is None]
    if snippets:
        readme.environment(tmp_path)
        beside("taskqueue worker")
    for block in blocks(section=section):
        if block in snippets:
            runs_as_its_comments_say(block, tmp_path)
        elif block.language == "console":
            prints_what_it_shows(port(block), tmp_path, beside)


def runs_as_its_comments_say(block: Block, folder: Path) -> None:
    (folder / "snippet.py").write_text(block.text)
    code, printed = type_in("python -W error snippet.py", folder)
    assert code == 0, f"{block}:\n" + "\n".join(printed)
    comments = re.findall(r"^ *print\(.*\)(?: +# (.+))?$", block.text, re.MULTILINE)
    for comment, line in zip(comments, printed, strict=True):
        assert not comment or line in comment, f"{block}: {comment!r} is said, {line!r} was printed"


def prints_what_it_shows(block: Block, folder: Path, beside: Callable[[str], Path]) -> None:
    ids: dict[str, str] = {}
    for command, said in typed(block):
        for shown, real in ids.items():
            command = command.replace(shown, real)  # noqa: PLW2901  # a reader types the id that was printed there
        if command.startswith(("supervisor run", "taskqueue web")):
            log = beside(command)
            eventually(lambda: alike(said, log.read_text().splitlines()), within=60, what=f"{block}: {command}")  # noqa: B023
            continue
        printed = as_shown(block, command, said, folder)
        ids |= zip(readme.ids(said), readme.ids(printed), strict=False)


def as_shown(block: Block, command: str, said: list[str], folder: Path) -> list[str]:
    """What the command printed, which is what was said; a reader looks again until the supervisor has done its work."""
    tries = 40 if command == "supervisor status" else 1
    for _ in range(tries):
        code, printed = type_in(command, folder)
        if code == 0 and alike(said, printed):
            return printed
    pytest.fail(f"{block}: $ {command}: exit code {code}\n" + "\n".join(printed))


def test_every_block_is_checked():
    assert {block.language for block in blocks()} == CHECKED


@pytest.mark.parametrize("block", blocks("python"), ids=str)
def test_python_is_python(block):
    compile(block.text, block.path or str(block), "exec")


@pytest.mark.parametrize("block", [b for b in blocks("toml") if (b.path or "").startswith("config/")], ids=str)
def test_a_configuration_is_accepted_whole(block, tmp_path):
    settings = parse(block.text, file=tmp_path / block.path, environ={})

    assert settings.brokers["main"].url.startswith("sqlite:///")


def test_the_unit_lets_a_worker_stop_in_peace():
    (block,) = blocks("ini")
    unit = configparser.ConfigParser(strict=True)
    unit.optionxform = str
    unit.read_string(block.text)
    service = unit["Service"]

    assert service["ExecStart"].endswith(" worker")
    assert float(service["TimeoutStopSec"]) > SupervisorSettings().grace
    assert (service["SuccessExitStatus"], service["RestartPreventExitStatus"]) == ("75", "78")


def test_the_tables_of_the_configuration_are_all_there():
    told = set(re.findall(r"`\[([a-z_]+)(?:\.[A-Za-z]+)?\]`", readme.TEXT))

    assert told >= set(TABLES)


def test_the_commands_are_all_there():
    for name, commands in (("taskqueue", COMMANDS), ("supervisor", SUPERVISOR_COMMANDS)):
        cells = re.findall(rf"^\| (`{name} [^|]+)\|", readme.TEXT, re.MULTILINE)
        listed = {command for cell in cells for command in re.findall(rf"`{name} ([a-z]+)", cell)}
        also = {command for cell in cells for command in re.findall(r"`([a-z]+)`", cell)}

        assert listed <= set(commands) <= listed | also


@pytest.mark.parametrize(("name", "rest"), re.findall(r"`supervisor ([a-z]+)((?: [^`]*)?)`", readme.TEXT))
def test_what_the_supervisor_is_said_to_take_it_takes(name, rest):
    command = program().get_command(click.Context(program()), name)
    options = {option for parameter in command.params for option in (*parameter.opts, *parameter.secondary_opts)}

    assert set(re.findall(r"--[a-z-]+", rest)) <= options


def test_the_targets_of_make_are_there():
    makefile = (readme.ROOT / "Makefile").read_text()
    told = set(re.findall(r"(?:`|^    )make ([a-z]+)", readme.TEXT, re.MULTILINE))

    assert {"demo", "test"} <= told <= set(re.findall(r"^([a-z]+):", makefile, re.MULTILINE))


def table(headings: str) -> list[list[str]]:
    """The rows of the table that begins with these headings, cell by cell."""
    _, _, text = readme.TEXT.partition(f"| | {headings} |\n")
    rows = text.split("\n\n", 1)[0].splitlines()[1:]
    return [[cell.strip() for cell in row.strip("|").split("|")] for row in rows]


STORES = ["SQLite", "PostgreSQL", "MariaDB, MySQL", "SQS", "memory"]


def test_every_promise_is_there_and_its_limits_too():
    promises = readme.TEXT.split("\n## Promises\n")[1].split("\n| |", 1)[0]
    told = re.findall(r"^\* \*\*(P\d+) ", promises, re.MULTILINE)

    assert told == [f"P{number}" for number in range(1, 22)]
    assert [row[0] for row in table(" | ".join(STORES))] == told


def test_every_note_of_the_promises_is_there():
    kept, notes = readme.TEXT.partition("**A worker that runs alone**")[2].split("\n1. ", 1)
    named = {int(number) for number in re.findall(r"\((\d+)\)", kept)}
    there = {1, *(int(number) for number in re.findall(r"^(\d+)\. ", notes.split("\n\n")[0], re.MULTILINE))}

    assert named == there


def test_what_is_kept_is_shown_by_a_test():
    shown = set()
    for promises, where, by in table("where | shown by"):
        module, _, sentence = by.partition(": ")
        (file,) = (readme.ROOT / "tests").rglob(f"{module}.py")
        assert f"def test_{sentence.replace(' ', '_')}(" in file.read_text(), by
        stores = ["SQLite", "PostgreSQL", "MariaDB", "SQS", "memory"] if where == "all" else where.split(", ")
        shown |= {(promise, store) for promise in promises.split(", ") for store in stores}

    kept = {
        (promise, store.partition(",")[0])
        for promise, *cells in table(" | ".join(STORES))
        for store, cell in zip(STORES, cells, strict=True)
        if cell.startswith("kept")
    }
    assert kept - shown == set()


def test_what_a_supervisor_adds_is_shown_by_a_test():
    for promise, _, by in table("under a supervisor, whatever store | shown by"):
        module, _, sentence = by.partition(": ")

        assert re.fullmatch(r"P\d+", promise)
        assert f"def test_{sentence.replace(' ', '_')}(" in (readme.ROOT / f"tests/process/{module}.py").read_text(), by


def test_what_was_thrown_is_what_the_command_throws():
    thrown = {row[0]: row[1:] for row in table("SQLite | SQLite, 24 MB disk | PostgreSQL | MariaDB | SQS")}
    stores = ["sqlite", "small-disk", "postgresql", "mariadb", "sqs"]
    for store, seed, tasks in zip(stores, thrown["seed"], thrown["tasks"], strict=True):
        options = dict(itertools.pairwise(chaos.STORIES[store]))

        assert (options["--seed"], options["--tasks"]) == (seed, tasks.replace(",", "")), store


def test_links_lead_somewhere():
    headings = re.findall(r"^#+ (.+)$", re.sub(r"```.*?```", "", readme.TEXT, flags=re.DOTALL), re.MULTILINE)
    anchors = {re.sub(r"[^\w -]", "", heading).lower().replace(" ", "-") for heading in headings}
    for target in re.findall(r"\]\(([^)]+)\)", readme.TEXT):
        if target.startswith("#"):
            assert target[1:] in anchors, target
        elif "://" not in target:
            assert (readme.ROOT / target).exists(), target


def test_an_entry_point_is_in_a_pyproject_that_can_be_read():
    (block,) = (b for b in blocks("toml") if b.path == "pyproject.toml")

    assert tomli.loads(block.text)["project"]["entry-points"]["taskqueue.brokers"] == {"loud": "loud_broker:LoudBroker"}
