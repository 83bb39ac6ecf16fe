"""P18: bad configuration is refused whole, with file, table, key and "did you mean". P19: and shows no secret."""

from __future__ import annotations

import os
from contextlib import suppress
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from taskqueue import settings
from taskqueue.errors import EXIT_CONFIGURATION, ConfigurationError
from taskqueue.settings.problems import Problems
from taskqueue.settings.resolve import resolve

MAIN = '[brokers.main]\nurl = "sqlite:///app.db"\n'
FILE = Path("config/taskqueue.toml")
POSTGRES = '[brokers.main]\nurl = "postgresql://db/x"\n'
SQS = '[brokers.main]\nurl = "sqs://eu"\n'


def refused(text, *, sets=(), **environ) -> str:
    with pytest.raises(ConfigurationError) as caught:
        settings.parse(text, file=FILE, sets=sets, environ=environ)
    assert caught.value.exit_code == EXIT_CONFIGURATION
    assert caught.value.__cause__ is None
    assert caught.value.__context__ is None or caught.value.__suppress_context__
    return str(caught.value)


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("[queues.mail]\nworker = 2", "[queues.mail]: unknown key 'worker', did you mean 'workers'?"),
        ("[pool.mail]", ": unknown table 'pool', did you mean 'pools'?"),
        ("[logging]\nxyz = 1", "[logging]: unknown key 'xyz'; known: format, level"),
        ("[brokers.b]\nurl = 'memory://'\nprefix = 'x'", "[brokers.b]: unknown key 'prefix'; known: url"),
        (
            "[queues.mail]\nworkers = 'x'",
            "[queues.mail] workers: expected a whole number from 0 to 1000, not 'x' (or \"cpus\")",
        ),
        (
            "[queues.mail]\nworkers = -1",
            '[queues.mail] workers: expected a whole number from 0 to 1000, not -1 (or "cpus")',
        ),
        ("[queues.mail]\nretries = true", "[queues.mail] retries: expected a whole number from 0, not true"),
        ("[queues.mail]\nretries = 1.0", "[queues.mail] retries: expected a whole number from 0, not 1.0"),
        ("[queues.mail]\nweight = 0", "[queues.mail] weight: expected a whole number from 1, not 0"),
        ("[queues.mail]\npriority = 10", "[queues.mail] priority: expected a whole number from 0 to 9, not 10"),
        ("[queues.mail]\nlease = '10ms'", "[queues.mail] lease: expected at least 1 s, not '10ms'"),
        ("[queues.mail]\nlease = -1", "[queues.mail] lease: expected a duration from 0 to 100 years"),
        ("[queues.mail]\nmax_memory = '1 cow'", "[queues.mail] max_memory: expected a size"),
        ("[queues.mail]\ncommit = 'all'", "[queues.mail] commit: expected one of 'batch', 'each', not 'all'"),
        ("[app]\npreload = 1", "[app] preload: expected one of 'auto', true, false, not 1"),
        ("[app]\nmodules = 'shop'", "[app] modules: expected a list such as"),
        ("[app]\nmodules = [1]", "[app] modules: expected a text, not 1"),
        ("[app]\nroutes = 3", "[app] routes: expected a table such as"),
        ("[app]\nroot = ''", "[app] root: expected a path"),
        ("[app]\nroot = 2020-01-01", "[app] root: expected a text, not a date or time"),
        ('[app]\nroot = "a\\u0000b"', "[app] root: the text has a control character"),
        (
            "[app]\ndefault_queue = 'mial'\n[queues.mail]",
            "[app] default_queue: unknown queue 'mial', did you mean 'mail'?",
        ),
        (
            "[app.routes]\n'a:b' = 'mial'\n[queues.mail]",
            "[app.routes] \"a:b\": unknown queue 'mial', did you mean 'mail'?",
        ),
        ("[queues.x]\nbroker = 'man'", "[queues.x] broker: unknown broker 'man', did you mean 'main'?"),
        ("[queue_defaults]\nbroker = 'man'", "[queue_defaults] broker: unknown broker 'man', did you mean 'main'?"),
        ("[queues]\nmail = 3", "[queues.mail]: expected a table, not 3"),
        ("[[queues]]", "[queues]: expected a table, not a list"),
        ("[queues.'']", "[queues]: '' is no name"),
        ("[queues.'a/b']", "[queues]: 'a/b' is no name"),
        ("[queues.'mail ']", "[queues]: 'mail ' is no name: a space stands at its beginning or end"),
        (f"[queues.{'a' * 201}]", "is no name: expected 1 to 200 characters"),
        ('[queues."a\\nb"]', "[queues]: the text has a control character"),
        ("[pools.x]", "[pools.x] queues: missing; list the queues that it serves"),
        ("[pools.x]\nqueues = []", "[pools.x] queues: expected at least one name"),
        ("[pools.x]\nqueues = ['default', 'default']", "[pools.x] queues: 'default' stands there twice"),
        ("[pools.x]\nqueues = ['mial']\n[queues.mail]", "[pools.x] queues: unknown queue 'mial', did you mean 'mail'?"),
        (
            "[pools.a]\nqueues = ['default']\n[queues.a]",
            "[pools.a]: [queues.a] has workers, which are a pool of that name",
        ),
        (
            "[task_log]\nretention = {faild = 1}",
            "'faild' is no status in which a task has ended, did you mean 'failed'?",
        ),
        ("[task_log]\nretention = {running = 1}", "'running' is no status in which a task has ended"),
        ("[task_log]\nretention = 'never'", "[task_log] retention: expected a duration"),
        (
            "[task_log]\nurl = 'memory://'",
            "[task_log] url: memory:// is seen by one process, the broker 'main' by many",
        ),
        ("[task_log]\nurl = 'sqs://eu'", "[task_log] url: sqs:// keeps no entries: name a database here"),
        ("[supervisor]\nmetric_file = 'x'", "[supervisor]: unknown key 'metric_file', did you mean 'metrics_file'?"),
        ("[supervisor]\nmetrics_file = 3", "[supervisor] metrics_file: expected a text, not 3"),
        (
            "[supervisor]\nmetrics_file = 'var/x/../supervisor.pid'",
            "[supervisor] metrics_file: that is the path of pidfile: name another",
        ),
        (
            "[supervisor]\nhost = 'red/mail'",
            "[supervisor] host: 'red/mail' is no name: expected 1 to ",
        ),
        (
            "[supervisor]\ncontrol_socket = '/run/tq'\npidfile = '/run/tq'",
            "[supervisor] pidfile: that is the path of control_socket: name another",
        ),
        ("[supervisor]\nuser = true", "[supervisor] user: expected a text, not true"),
        ("[supervisor]\nuser = -1", "[supervisor] user: expected a text, not -1"),
        ("[supervisor]\nuser = 1.5", "[supervisor] user: expected a text, not 1.5"),
        ("[supervisor]\nuser = '-u'", "[supervisor] user: '-u' is no name or number of an account"),
        ("[supervisor]\nuser = 'a b'", "[supervisor] user: 'a b' is no name or number of an account"),
        ("[supervisor]\nuser = 'shop:shop'", "[supervisor] user: 'shop:shop' is no name or number of an account"),
        (f"[supervisor]\nuser = '{'a' * 257}'", "is no name or number of an account"),
        ('[supervisor]\ngroup = "a\\nb"', "[supervisor] group: the text has a control character"),
        ("[supervisor]\ngroup = 4294967295", "[supervisor] group: expected a text, not 4294967295"),
        ("[supervisor]\ngroup = '4294967295'", "[supervisor] group: expected a number up to 4294967294, not"),
        ("[supervisor]\numask = 27", '[supervisor] umask: expected an octal text from "000" to "077", such as "027"'),
        ("[supervisor]\numask = 0o27", '[supervisor] umask: expected an octal text from "000" to "077", such as "027"'),
        ("[supervisor]\numask = '0o27'", "[supervisor] umask: expected an octal text"),
        ("[supervisor]\numask = '088'", "[supervisor] umask: expected an octal text"),
        ("[supervisor]\numask = '700'", "[supervisor] umask: expected an octal text"),
        ("[supervisor]\numask = '27'", "[supervisor] umask: expected an octal text"),
        ("[brokers.b]\nprefix = 'x'", "[brokers.b] url: missing"),
        ("[brokers.b]\nurl = 'app.db'", '[brokers.b] url: expected a URL such as "sqlite:///var/taskqueue.db"'),
        ("[brokers.b]\nurl = 'sqlite:///b.db'\nprefix = 'a b'", "[brokers.b] prefix: expected up to 40 letters"),
        ("[brokers.b]\nurl = 'memory://'", "[queues.default] broker: there are several brokers (main, b)"),
    ],
)
def test_a_problem_is_told_with_its_place(text, line):
    assert line in refused(MAIN + text).replace(f"{FILE}:", ":").replace(f"{FILE} ", "")


@pytest.mark.parametrize(
    "url", ["sqlite://", "sqlite:///", "sqlite:///:memory:", "sqlite:///file:x?uri=true", "sqlite://?a=1"]
)
def test_sqlite_in_memory_is_refused_with_what_to_use(url):
    assert '"memory://"' in refused(f'[brokers.main]\nurl = "{url}"')


def test_two_slashes_before_a_sqlite_path_are_a_slip():
    assert "a SQLite URL has three slashes" in refused('[brokers.main]\nurl = "sqlite://app.db"')


def test_without_a_broker_the_two_lines_are_shown():
    assert refused("") == f'{FILE}: no broker; add the two lines [brokers.main] and url = "sqlite:///var/taskqueue.db"'


def test_sqs_needs_a_log_that_is_named():
    assert "the broker 'main' (sqs://) keeps no entries" in refused(SQS)
    assert "memory:// is seen by one process" in refused(SQS + '[task_log]\nurl = "memory://"')
    settings.parse(SQS + '[task_log]\nurl = "postgresql://db/x"', environ={})


def test_all_problems_are_told_at_once_a_line_each():
    text = (
        "[queues.mail]\nworker = 2\nlease = 'x'\n[app]\ndefault_queue = 'mial'\n[pols]\n[pools.p]\nqueues = ['${NO}']"
    )
    lines = refused(MAIN + text).splitlines()

    assert len(lines) == 5
    assert all(line.startswith(str(FILE)) for line in lines)


def test_a_bad_override_is_not_blamed_on_the_file():
    assert refused(MAIN, sets=["queues.default.lease=x"]).startswith("--set queues.default.lease: expected a duration")
    assert refused(MAIN, sets=["logging.levl=info"]).startswith("--set logging.levl: unknown key 'levl', did you mean")


@pytest.mark.parametrize("given", ["", "=", "x", "x=1", "a.b", "a b.c=1", "a.b\nc.d=1", "[a]=1", "a.=1"])
def test_an_override_that_is_none(given):
    assert "expected TABLE.KEY=VALUE, such as queues.mail.workers=8" in refused(MAIN, sets=[given])


def test_an_override_makes_no_new_queue_and_no_table_of_a_value():
    assert "unknown queue 'mial', did you mean 'mail'?" in refused(
        MAIN + "[queues.mail]", sets=["queues.mial.workers=8"]
    )
    assert "app.modules is no table" in refused(MAIN + "[app]\nmodules = []", sets=["app.modules.x=8"])


class TestVariables:
    @pytest.mark.parametrize(
        ("value", "text"),
        [
            ("${NOPE}", "${NOPE} is not set: set it, or write ${NOPE:-default}"),
            ("a$b", "write ${NAME} for a variable, $$ for a dollar"),
            ("${}", "write ${NAME} for a variable"),
            ("${9}", "write ${NAME} for a variable"),
            ("${UNCLOSED", "write ${NAME} for a variable"),
            ("${file:secret}", "${file:secret}: expected an absolute path"),
            ("${file:/does/not/exist}", "${file:/does/not/exist} cannot be read: No such file or directory"),
            ("${file:/}", "${file:/} cannot be read: Is a directory"),
            ("${file:/dev/zero}", "${file:/dev/zero} is larger than 64 KiB"),
        ],
    )
    def test_what_cannot_be_put_in(self, value, text):
        assert f"{FILE} [brokers.main] url: " in refused(f"[brokers.main]\nurl = '{value}'")
        assert text in refused(f"[brokers.main]\nurl = '{value}'")

    def test_a_missing_one_in_a_list_or_route_is_told_once(self):
        assert len(refused(MAIN + "[app]\nmodules = ['${A}']\n[app.routes]\nx = '${B}'").splitlines()) == 2

    def test_a_file_of_bytes(self, tmp_path):
        (tmp_path / "secret").write_bytes(b"\xff")

        assert "it is not UTF-8 text" in refused(f"[brokers.main]\nurl = '${{file:{tmp_path / 'secret'}}}'")


KEYS = ["brokers.main.prefix", "queues.default.lease", "queues.default.workers", "queues.default.broker", "app.modules"]
KEYS += ["queues.default.commit", "app.preload", "app.default_queue", "queues.default.max_memory", "task_log.retention"]
KEYS += ["brokers.main.url", "app.root", "pools.p.queues", "task_log.url"]
KEYS += ["supervisor.metrics_file", "supervisor.user", "supervisor.group", "supervisor.umask"]


@pytest.mark.parametrize("key", KEYS)
@pytest.mark.parametrize("given", ["${SECRET}", "${NO:-s3cret:/\\n}", "x://ann:s3cret@db/\\u0001"])
def test_no_error_shows_a_secret(key, given):
    """P19."""
    table, _, name = key.rpartition(".")
    head = {"brokers.main.prefix": MAIN, "brokers.main.url": "[brokers.main]"}.get(key, f"{MAIN}[{table}]")
    told = refused(f'{head}\n{name} = "{given}"', SECRET="s3cret:/\n")

    assert key in told.replace("[", "").replace("] ", ".")
    assert "s3cret" not in told


class TestFiles:
    @pytest.fixture(autouse=True)
    def here(self, tmp_path, monkeypatch):
        monkeypatch.chdir(tmp_path)

    def refused(self, path=None, **environ) -> str:
        with pytest.raises(ConfigurationError) as caught:
            settings.load(path, environ=environ)
        return str(caught.value)

    def test_without_a_file_it_says_where_it_looked_and_what_to_write(self):
        told = self.refused()

        assert told.startswith("no configuration: --config is not given, $TASKQUEUE_CONFIG is not set")
        assert settings.parse(told.partition("\n")[2], environ={}).queues

    def test_a_named_file_that_is_missing(self):
        assert self.refused("x.toml") == "x.toml cannot be read: No such file or directory"
        assert self.refused(TASKQUEUE_CONFIG="y.toml") == "y.toml cannot be read: No such file or directory"

    def test_what_cannot_be_read(self, tmp_path):
        (tmp_path / "latin.toml").write_bytes(b"# one\n# \xe9")

        assert self.refused(tmp_path) == f"{tmp_path} cannot be read: Is a directory"
        assert self.refused("latin.toml") == "latin.toml, line 2: not UTF-8 text; save it as UTF-8"
        assert self.refused("a\0b").endswith("cannot be read: no such path")

    @pytest.mark.skipif(os.geteuid() == 0, reason="root reads everything")
    def test_a_file_without_permission(self, tmp_path):
        (tmp_path / "closed.toml").touch(mode=0o000)

        assert self.refused("closed.toml") == "closed.toml cannot be read: Permission denied"

    def test_a_syntax_error_has_line_and_column(self, tmp_path):
        (tmp_path / "bad.toml").write_text("[app]\nmodules = [\n")

        assert self.refused("bad.toml").startswith("bad.toml, line 3, column 1: not TOML: ")

    def test_numbers_and_tables_beyond_reason(self, tmp_path):
        (tmp_path / "long.toml").write_text("x = " + "1" * 5000)
        (tmp_path / "deep.toml").write_text("x = " + "[" * 2000)

        assert self.refused("long.toml").startswith("long.toml: not TOML")
        assert self.refused("deep.toml").startswith("deep.toml: not TOML")

    def test_a_working_directory_that_is_gone(self, tmp_path):
        (tmp_path / "gone").mkdir()
        os.chdir(tmp_path / "gone")
        (tmp_path / "gone").rmdir()

        assert self.refused().startswith("no configuration")
        with pytest.raises(ConfigurationError, match="working directory is gone"):
            settings.parse(MAIN, environ={})


WORDS = [
    "app",
    "brokers",
    "main",
    "queues",
    "default",
    "pools",
    "task_log",
    "url",
    "lease",
    "queues",
    "workers",
    "retention",
]
WORDS += [
    "[",
    "]",
    "[[",
    "{",
    "}",
    ".",
    "=",
    " = ",
    ",",
    "\n",
    '"',
    "'",
    "${X}",
    "${file:/dev/null}",
    "$",
    "1",
    "-1",
    "nan",
]
WORDS += [
    "true",
    "1e999",
    "2020-01-01",
    '"sqlite:///x"',
    '"memory://"',
    '"\\u0000"',
    "'a/b'",
    "#",
    "\t",
    '"""',
    "routes",
]

simple = st.one_of(
    st.text(), st.integers(), st.floats(), st.booleans(), st.dates(), st.sampled_from(["memory://", "${X}"])
)
values = st.recursive(
    simple, lambda v: st.lists(v, max_size=3) | st.dictionaries(st.text(), v, max_size=3), max_leaves=5
)


def only_configuration_errors(step) -> None:
    with suppress(ConfigurationError):
        step()


@given(st.one_of(st.text(), st.lists(st.sampled_from(WORDS), max_size=30).map("".join)))
def test_no_text_raises_anything_else(text):
    for whole in (text, MAIN + text):
        only_configuration_errors(lambda whole=whole: settings.parse(whole, file=FILE, environ={"X": "1"}))


@given(st.text() | st.lists(st.sampled_from(WORDS), max_size=12).map("".join))
def test_no_override_raises_anything_else(given):
    for one in (given, f"queues.default.workers={given}", f"{given}=1", f"brokers.main.{given}"):
        only_configuration_errors(lambda one=one: settings.parse(MAIN, file=FILE, sets=[one], environ={"X": "1"}))


@hypothesis_settings(suppress_health_check=[HealthCheck.too_slow])
@given(st.sampled_from(KEYS), values)
def test_no_value_raises_anything_else(key, value):
    tree: dict = {"brokers": {"main": {"url": "memory://"}}}
    *tables, name = key.split(".")
    table = tree
    for part in tables:
        table = table.setdefault(part, {})
    table[name] = value
    only_configuration_errors(lambda: resolve(tree, file=None, folder=Path("/srv"), problems=Problems("x")))


def test_a_number_of_thousands_of_hexadecimal_digits_is_refused_as_any_other():
    with pytest.raises(ConfigurationError, match="a number of too many digits"):
        settings.parse(f"[brokers]\nmain = 0x{'f' * 5000}")
