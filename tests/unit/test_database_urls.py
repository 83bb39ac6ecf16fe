"""P18, P19: what a database URL may be, and what is said of one that cannot be. Nothing is opened."""

from __future__ import annotations

import sys

import pytest

from taskqueue.database.engine import Database
from taskqueue.errors import ConfigurationError


@pytest.mark.parametrize(
    ("url", "said"),
    [
        ("not a url", r"'not a url' is no database URL; write e.g. sqlite:///"),
        ("/var/queue.db", r"is no database URL"),
        ("sqlit:///queue.db", r"called 'sqlit', did you mean 'sqlite'\?"),
        (
            "oracle://ann:s3cret@host/db",
            r"oracle://ann:\*\*\*@host/db: no database of ours is called 'oracle'; known: ",
        ),
        ("sqlite://", r"name a file"),
        ("sqlite:///:memory:", r"name a file, .* \(or use memory://\)"),
        ("sqlite:///queue.db?mode=ro", r"name a file"),
        ("sqlite+aiosqlite:///queue.db", r"use Python's own driver, sqlite:///queue.db"),
    ],
)
def test_a_url_that_cannot_be_is_refused_in_one_line(url, said):
    with pytest.raises(ConfigurationError, match=said) as refused:
        Database(url)
    assert "s3cret" not in str(refused.value)
    assert "\n" not in str(refused.value)


def test_opening_waits_for_the_first_use(tmp_path):
    Database(f"sqlite:///{tmp_path}/queue.db").close()
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("url", "module", "extra"),
    [("postgresql://ann:s3cret@h/shop", "psycopg", "postgresql"), ("mariadb://ann:s3cret@h/shop", "pymysql", "mysql")],
)
def test_a_missing_driver_is_named_with_what_installs_it(monkeypatch, url, module, extra):
    monkeypatch.setitem(sys.modules, module, None)
    with pytest.raises(
        ConfigurationError, match=rf"driver {module} .*pip install 'taskqueue-supervisor\[{extra}\]'"
    ) as e:
        Database(url)
    assert "s3cret" not in str(e.value)


@pytest.mark.parametrize(
    ("url", "said"),
    [
        ("postgresql+asyncpg://h/shop", r"use psycopg 3, postgresql\+psycopg://"),
        ("mysql+mysqldb://h/shop", r"use PyMySQL, mysql\+pymysql://"),
    ],
)
def test_another_driver_is_refused(url, said):
    with pytest.raises(ConfigurationError, match=said):
        Database(url)
