"""The README's recipe for a broker of one's own, installed as its pyproject.toml says."""

from __future__ import annotations

import pytest
import tomli

from tests.support.recipes import Kitchen

pytestmark = [pytest.mark.process, pytest.mark.timeout(120)]
CONFIG = """
[app]
modules = ["shop.tasks"]
[brokers.main]
url = "loud://"
[task_log]
url = "memory://"
"""


def test_a_broker_comes_in_by_its_entry_point(tmp_path):
    kitchen = Kitchen(tmp_path)
    project = tomli.loads((tmp_path / "pyproject.toml").read_text())["project"]
    info = tmp_path / f"{project['name'].replace('-', '_')}-{project['version']}.dist-info"
    info.mkdir()
    (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {project['name']}\nVersion: {project['version']}\n")
    points = [
        f"[{group}]\n" + "".join(f"{name} = {place}\n" for name, place in named.items())
        for group, named in project["entry-points"].items()
    ]
    (info / "entry_points.txt").write_text("".join(points))
    (tmp_path / "config/taskqueue.toml").write_text(CONFIG)
    told = kitchen.run(
        "from shop.tasks import fetch; print(fetch.enqueue('https://example.org').result())", "-W", "error"
    )
    assert told[0].startswith("default: ")
    assert told[1] == "19"
