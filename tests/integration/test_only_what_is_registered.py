"""P8: nothing that a message says makes a worker import, look up or call what is not registered.

The worker runs in a process of its own, whose interpreter reports every import and every call that starts a program.
"""

from __future__ import annotations

import json
from pathlib import Path

from tests.support.programs import run

TRAP = """
import pathlib
from taskqueue import task
pathlib.Path(__file__).with_name("sprung").touch()

@task
def go(*args, **kwargs):
    pathlib.Path(__file__).with_name("ran").touch()
"""
KNOWN = """
import pathlib
from taskqueue import AbstractTask, task

def helper(*args, **kwargs):
    pathlib.Path(__file__).with_name("ran").touch()

class Bare(AbstractTask):
    abstract = True

@task
def add(a: int, b: int) -> int:
    return a + b
"""
CONFIG = """
[app]
modules = ["known"]
[brokers.main]
url = "sqlite:///tasks.db"
[queues.default]
unknown_grace = 0
"""
NAMES = [
    "os:system",
    "os.system",
    "posix:system",
    "subprocess:run",
    "builtins:exec",
    "builtins:__import__",
    "__import__",
    "importlib:import_module",
    "trap:go",
    "trap",
    "trap.go",
    "nest.trap:go",
    "nest:trap.go",
    "./trap:go",
    "known:helper",
    "known:pathlib.os.system",
    "known:add.__call__",
    "known:add.__globals__",
    "known:add.__wrapped__",
    "known:__builtins__",
    "known:__dict__",
    "known:AbstractTask",
    "known.helper",
    "__main__:main",
    "taskqueue.app:App.import_modules",
    "taskqueue.task.callback:CallbackTask",
    "cos\\nsystem\\n(S'touch sprung'\\ntR.",
]
#: in place of a value: what decoders of other kinds would build
VALUES = [
    {"$type": "trap:go"},
    {"$class": "trap.go", "$args": []},
    {"$enum": "trap:go"},
    {"py/object": "trap.go"},
    {"py/reduce": [{"py/function": "os.system"}, {"py/tuple": ["touch sprung"]}]},
    {"__reduce__": ["os.system", "touch sprung"]},
    {"$bytes": "gASVHgAAAAAAAACMBXBvc2l4lIwGc3lzdGVtlJOUjAR0cnVllIWUUpQu"},
    "{{ trap.go() }}",
    "__import__('trap').go()",
]
PROGRAM = """
import json, logging, os, sys
from pathlib import Path

folder = Path(sys.argv[1])
names, values = json.loads(sys.argv[2])
sys.path.insert(0, str(folder))

from taskqueue.app import App
from taskqueue.ids import new_id
from taskqueue.message import Message
from taskqueue.settings import load
from taskqueue.worker.leaving import Limits

app = App(load(folder / "taskqueue.toml"))
app.import_modules()
logging.disable()
app.dispatcher.initialize()
good = app.dispatcher.enqueue_by_name("known:add", a=1, b=1)
queue = app.dispatcher.queue("default")


def message(**fields):
    task_id = new_id()
    usual = {"v": 1, "task": "known:add", "created": 1767225600000000, "params": {"a": 1, "b": 2}}
    return Message(task_id, json.dumps({**usual, "id": task_id, **fields}).encode())


calls = [{"params": {}, "args": ["touch sprung"]}, {"params": {"name": "trap"}}]
sent = [message(task=name, **call) for name in names for call in calls]
sent += [message(params={"a": value, "b": 1}) for value in values]
sent += [message(**{field: value}) for field in ("label", "owner", "options", "args", "more") for value in values]
queue.broker.push(sent)

found = set()
events = ("import", "os.system", "os.exec", "os.posix_spawn", "subprocess.Popen", "pickle.find_class")
sys.addaudithook(lambda event, args: found.add((event, str(args[0]))) if event in events else None)
assert app.worker(["default"], Limits(drain=True)).run() == 0
assert good.result() == 2
entries = [app.dispatcher.task_log.get(one.id) for one in sent]
unknown = entries[: 2 * len(names)]
assert {entry.status.label for entry in unknown} == {"failed"}, [e for e in unknown if e.status.label != "failed"]
assert all(entry.status.ended for entry in entries)
seen = set(found)  # what comes from here on is this test's
there = sorted(path.name for path in folder.rglob("*") if path.suffix != ".pyc")

import trap

json.dump({"seen": sorted(seen), "there": there, "sprung": (folder / "sprung").exists()}, sys.stdout)
app.close()
"""


def test_nothing_in_a_message_imports_or_calls_what_is_not_registered(tmp_path: Path) -> None:
    (tmp_path / "nest").mkdir()
    for trap in (tmp_path / "trap.py", tmp_path / "nest" / "trap.py"):
        trap.write_text(TRAP)
    (tmp_path / "nest" / "__init__.py").touch()
    (tmp_path / "known.py").write_text(KNOWN)
    (tmp_path / "taskqueue.toml").write_text(CONFIG)
    found = json.loads(run(PROGRAM, tmp_path, json.dumps([NAMES, VALUES])))
    assert found["sprung"], "a trap that is imported says so"
    assert not {"sprung", "ran"} & set(found["there"])
    imported = {name for event, name in found["seen"] if event == "import"}
    assert [name for name in imported if name.split(".")[0] in ("trap", "nest", "subprocess", "importlib")] == []
    assert [name for event, name in found["seen"] if event.startswith(("os.", "subprocess.", "pickle."))] == []
