"""What a good configuration means. Bad ones: test_settings_refused.py."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from taskqueue import settings
from taskqueue.settings import cpus
from taskqueue.status import ENDED, Status

MAIN = '[brokers.main]\nurl = "sqlite:///var/app.db"\n'
FILE = Path("/srv/shop/config/taskqueue.toml")


def read(text, *, file=FILE, sets=(), **environ):
    return settings.parse(text, file=file, sets=sets, environ=environ)


def test_one_broker_is_a_whole_configuration():
    read_ = read(MAIN)

    assert list(read_.queues) == ["default"]
    queue = read_.queues["default"]
    assert (queue.broker, queue.workers, queue.lease, queue.timeout, queue.max_crashes) == ("main", 1, 120.0, 600.0, 3)
    assert read_.task_log.url == read_.brokers["main"].url == "sqlite:////srv/shop/var/app.db"
    assert read_.brokers["main"].options == {"prefix": "taskqueue_"}
    assert read_.supervisor.control_socket == Path("/srv/shop/var/supervisor.sock")
    assert read_.file == FILE


def test_a_queue_says_it_over_the_queue_defaults():
    queues = read(
        MAIN + "[queue_defaults]\nlease = 60\nretries = 2\n[queues.mail]\nlease = '30s'\n[queues.default]"
    ).queues

    assert (queues["mail"].lease, queues["mail"].retries) == (30.0, 2)
    assert (queues["default"].lease, queues["default"].retries) == (60.0, 2)


def test_what_a_pool_serves_has_no_workers_of_its_own_unless_it_asks():
    text = (
        MAIN + "[queue_defaults]\nworkers = 4\n[queues.a]\n[queues.b]\nworkers = 2\n[queues.c]\n"
        "[pools.ab]\nqueues = ['a', 'b']"
    )

    assert {name: queue.workers for name, queue in read(text).queues.items()} == {"default": 4, "a": 0, "b": 2, "c": 4}


def test_workers_may_be_one_a_processor():
    assert read(MAIN + "[queues.mail]\nworkers = 'cpus'").queues["mail"].workers in range(1, (os.cpu_count() or 1) + 1)


def test_workers_are_bounded_by_the_quota_of_the_container(monkeypatch):
    monkeypatch.setattr(cpus, "usable", lambda: 3)

    assert read(MAIN + "[pools.p]\nqueues = ['default']\nworkers = 'cpus'").pools["p"].workers == 3
    assert read(MAIN, sets=["queues.default.workers=cpus"]).queues["default"].workers == 3


class TestSupervisor:
    def test_what_is_not_said_stays_as_the_process_was_started(self):
        read_ = read(MAIN + "[supervisor]\nhost = ''\nmetrics_file = ''\nuser = ''\ngroup = ''\numask = ''").supervisor

        assert read_ == read(MAIN).supervisor
        assert (read_.host, read_.metrics_file, read_.user, read_.group, read_.umask) == ("", None, "", "", None)

    def test_the_file_of_figures_stands_below_the_root_or_where_it_says(self):
        metrics = [
            read(f"{MAIN}[supervisor]\nmetrics_file = '{name}'").supervisor.metrics_file
            for name in ("var/tq.prom", "/run/tq.prom")
        ]

        assert metrics == [Path("/srv/shop/var/tq.prom"), Path("/run/tq.prom")]

    @pytest.mark.parametrize(
        ("value", "name"),
        [
            ("'shop'", "shop"),
            ("'_apt'", "_apt"),
            ("'1000'", "1000"),
            ("1000", "1000"),
            ("0", "0"),
            ("'jö@corp.example'", "jö@corp.example"),
            ("'${RUNS_AS:-daemon}'", "daemon"),
            ("'host$$'", "host$"),
        ],
    )
    def test_an_account_has_a_name_or_a_number(self, value, name):
        read_ = read(f"{MAIN}[supervisor]\nuser = {value}\ngroup = {value}").supervisor

        assert (read_.user, read_.group) == (name, name)

    @pytest.mark.parametrize(("value", "mask"), [("000", 0), ("022", 0o022), ("0027", 0o027), ("077", 0o077)])
    def test_umask_is_octal(self, value, mask):
        assert read(f"{MAIN}[supervisor]\numask = '{value}'").supervisor.umask == mask


def test_with_several_brokers_a_queue_has_that_of_the_default_queue():
    text = (
        '[brokers.a]\nurl = "memory://"\n[brokers.b]\nurl = "memory://"\n'
        '[queues.default]\nbroker = "b"\n[queues.x]\n[queues.y]\nbroker = "a"'
    )

    assert {name: queue.broker for name, queue in read(text).queues.items()} == {"default": "b", "x": "b", "y": "a"}
    assert read(text).queue_defaults.broker == "b"


def test_another_default_queue_takes_the_place_of_default():
    read_ = read(MAIN + "[queues.mail]\n[app]\ndefault_queue = 'mail'")

    assert list(read_.queues) == ["mail"]


def test_the_log_has_the_tables_of_the_broker_on_the_same_database():
    text = '[brokers.main]\nurl = "sqlite:///app.db"\nprefix = "tq_"\n'

    assert read(text).task_log.options == {"prefix": "tq_"}
    assert read(text + '[task_log]\nurl = "sqlite:///app.db"').task_log.options == {"prefix": "tq_"}
    assert read(text + '[task_log]\nprefix = "log_"').task_log.options == {"prefix": "log_"}
    assert read(text + '[task_log]\nurl = "sqlite:///log.db"').task_log.options == {"prefix": "taskqueue_"}


def test_tasks_that_run_at_once_may_have_a_log_in_memory_or_on_disk():
    memory = '[brokers.main]\nurl = "memory://"\n'

    assert read(memory).task_log.url == "memory://"
    assert read(memory + '[task_log]\nurl = "sqlite:///log.db"').task_log.scheme == "sqlite"


def test_retention_is_one_duration_or_a_table_by_status():
    assert read(MAIN).task_log.retention == dict.fromkeys(ENDED, 30 * 86400.0)
    assert read(MAIN + "[task_log]\nretention = '1d'").task_log.retention == dict.fromkeys(ENDED, 86400.0)
    by_status = read(MAIN + "[task_log]\nretention = {failed = 'forever', completed = '1h'}").task_log.retention
    assert by_status[Status.FAILED] is None
    assert by_status[Status.COMPLETED] == 3600.0
    assert by_status[Status.CANCELLED] == 30 * 86400.0


def test_the_options_of_a_third_partys_broker_are_passed_on():
    broker = read('[brokers.main]\nurl = "carrier+fast://pigeon"\nlegs = 2\ntoken = "${TOKEN}"', TOKEN="coo").brokers[
        "main"
    ]

    assert (broker.scheme, broker.options) == ("carrier", {"legs": 2, "token": "coo"})


class TestPaths:
    @pytest.mark.parametrize(
        ("file", "root"),
        [("/srv/shop/config/taskqueue.toml", "/srv/shop"), ("/srv/shop/queue.toml", "/srv/shop"), ("/q.toml", "/")],
    )
    def test_relative_ones_start_above_config_or_beside_the_file(self, file, root):
        assert read(MAIN, file=Path(file)).root == Path(root)

    def test_root_moves_them_all(self):
        read_ = read(MAIN + "[app]\nroot = '../data'\n[supervisor]\npidfile = '/run/q.pid'")

        assert read_.brokers["main"].url == "sqlite:////srv/data/var/app.db"
        assert read_.supervisor.control_socket == Path("/srv/data/var/supervisor.sock")
        assert read_.supervisor.pidfile == Path("/run/q.pid")
        assert read_.app.root == read_.root == Path("/srv/data")

    def test_a_text_starts_at_the_working_directory(self, tmp_path, monkeypatch):
        monkeypatch.chdir(tmp_path)

        assert read(MAIN, file=None).root == tmp_path
        assert read(MAIN, file=Path("config/q.toml")).root == tmp_path

    def test_an_absolute_sqlite_path_and_its_query_stay(self):
        url = "sqlite+pysqlite:////data/app.db?timeout=3"

        assert read(f'[brokers.main]\nurl = "{url}"').brokers["main"].url == url


class TestVariables:
    def test_texts_name_variables_defaults_and_files(self, tmp_path):
        secret = tmp_path / "db.password"
        secret.write_text("s3cret\n")
        text = f'[brokers.main]\nurl = "postgresql://${{USER:-ann}}:${{file:{secret}}}@${{HOST}}/$$"'

        assert read(text, HOST="db", USER="").brokers["main"].url == "postgresql://ann:s3cret@db/$"

    def test_a_variable_may_hold_a_number_or_a_truth(self):
        text = (
            MAIN + "[queues.mail]\nworkers = '${N}'\nlease = '${LEASE}'\nmax_memory = '${M}'\n[app]\npreload = '${PRE}'"
        )
        read_ = read(text, N="8", LEASE="30s", M="1MiB", PRE="false")

        mail = read_.queues["mail"]
        assert (mail.workers, mail.lease, mail.max_memory, read_.app.preload) == (8, 30.0, 2**20, False)

    def test_a_value_is_not_read_for_variables_again(self):
        assert (
            read('[brokers.main]\nurl = "${URL}"', URL="custom://${HOME}$").brokers["main"].url == "custom://${HOME}$"
        )


class TestOverrides:
    def test_set_replaces_one_value(self):
        sets = ["queues.mail.workers=8", "logging.level=debug", "app.modules=['a', 'b']", 'app.routes."a:b"=mail']
        read_ = read(MAIN + "[queues.mail]\nworkers = 2", sets=sets)

        assert read_.queues["mail"].workers == 8
        assert read_.logging.level == "debug"
        assert read_.app.modules == ("a", "b")
        assert read_.app.routes == {"a:b": "mail"}

    def test_a_value_may_hold_equals_signs_and_variables(self):
        url = read(MAIN, sets=["brokers.main.url=custom://x?a=1&b=${B}"], B="2").brokers["main"].url

        assert url == "custom://x?a=1&b=2"

    def test_the_default_queue_can_be_set_without_a_table(self):
        assert read(MAIN, sets=["queues.default.workers=3"]).queues["default"].workers == 3


class TestLookUp:
    @pytest.fixture(autouse=True)
    def here(self, tmp_path, monkeypatch):
        monkeypatch.chdir(tmp_path)
        for name in ("given.toml", "named.toml", "config/taskqueue.toml"):
            file = tmp_path / name
            file.parent.mkdir(exist_ok=True)
            file.write_text(MAIN + f"[queues.{file.stem}]")

    def test_config_comes_before_the_variable_before_the_usual_place(self):
        named = {"TASKQUEUE_CONFIG": "named.toml"}

        assert "given" in settings.load("given.toml", environ=named).queues
        assert "named" in settings.load(environ=named).queues
        assert "taskqueue" in settings.load(environ={}).queues
        assert "taskqueue" in settings.load(environ={"TASKQUEUE_CONFIG": ""}).queues

    def test_the_file_is_remembered_by_its_absolute_path(self, tmp_path):
        assert settings.load("given.toml", environ={}).file == tmp_path / "given.toml"

    def test_a_byte_order_mark_is_no_error(self, tmp_path):
        (tmp_path / "bom.toml").write_bytes(b"\xef\xbb\xbf" + MAIN.encode())

        assert settings.load("bom.toml", environ={}).brokers


def test_settings_show_no_password_when_printed():
    """P19."""
    shown = repr(
        read(
            '[brokers.main]\nurl = "postgresql://ann:s3cret@db/x"\n[task_log]\nurl = "custom://a:s3cret@b"\n'
            'key = "s3cret"'
        )
    )

    assert "postgresql://ann:***@db/x" in shown
    assert "s3cret" not in shown
