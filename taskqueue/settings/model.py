"""The settings: what a configuration file says, read, checked and completed. Plain frozen values.

A field with a rule is a key of the file; a field without one is worked out. Durations are seconds, paths absolute.
`config/example.toml` has a line of meaning for every key.
"""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import Annotated, Any, Literal, get_type_hints

import msgspec
from msgspec import Struct

from taskqueue.masking import MASK, mask_url
from taskqueue.message import DEFAULT_PRIORITY, HIGHEST, LOWEST
from taskqueue.settings import binding, rules
from taskqueue.settings.binding import Bind
from taskqueue.settings.durations import message_size, size
from taskqueue.settings.rules import Rule, one_of, seconds, whole
from taskqueue.status import Status


class AppSettings(Struct, frozen=True, kw_only=True):
    """`[app]`: the application. `root` is where relative paths start."""

    modules: Annotated[tuple[str, ...], rules.texts] = ()
    preload: Annotated[bool | Literal["auto"], one_of("auto", *rules.SWITCH)] = "auto"
    default_queue: Annotated[str, rules.name] = "default"
    root: Annotated[Path, rules.path] = Path()
    enqueue_timeout: Annotated[float, seconds(0.1)] = 5.0
    routes: Annotated[dict[str, str], rules.routes] = {}


class Located(Struct, frozen=True, kw_only=True):
    """A store: its URL and the options that its kind of store takes (see OPTIONS), complete with their defaults."""

    url: Annotated[str, rules.url] = ""
    options: dict[str, Any] = {}

    @property
    def scheme(self) -> str:
        """The kind of store: the URL's scheme without its driver."""
        return scheme_of(self.url)

    def __repr__(self) -> str:
        return f"{type(self).__name__}(url={mask_url(self.url)!r}, options={sorted(self.options)})"


class BrokerSettings(Located, frozen=True, kw_only=True):
    """`[brokers.NAME]`. The options of a third party's broker are not checked."""

    name: str = ""


class TaskLogSettings(Located, frozen=True, kw_only=True):
    """`[task_log]`. `retention`: how long an entry stays after it ended in that status; None: for ever."""

    retention: Annotated[dict[Status, float | None], rules.retention] = msgspec.field(
        default_factory=rules.kept_a_month
    )


class QueueSettings(Struct, frozen=True, kw_only=True):
    """`[queues.NAME]`, over `[queue_defaults]`. 0 is no limit for `timeout` and the three `max_` but `max_crashes`."""

    name: str = ""
    broker: Annotated[str, rules.name] = ""
    workers: Annotated[int, rules.workers] = 1
    weight: Annotated[int, whole(1)] = 1
    priority: Annotated[int, whole(HIGHEST, LOWEST)] = DEFAULT_PRIORITY
    lease: Annotated[float, seconds(1)] = 120.0
    timeout: Annotated[float, seconds()] = 600.0
    retries: Annotated[int, whole()] = 0
    max_crashes: Annotated[int, whole()] = 3
    unknown_grace: Annotated[float, seconds()] = 600.0
    commit: Annotated[Literal["batch", "each"], one_of("batch", "each")] = "batch"
    max_waiting: Annotated[int, whole()] = 0
    max_tasks: Annotated[int, whole()] = 0
    max_memory: Annotated[int, size] = 0


class PoolSettings(Struct, frozen=True, kw_only=True):
    """`[pools.NAME]`: workers that serve several queues."""

    name: str = ""
    queues: Annotated[tuple[str, ...], rules.names] = ()
    selector: Annotated[Literal["weighted", "strict"], one_of("weighted", "strict")] = "weighted"
    workers: Annotated[int, rules.workers] = 1


class SupervisorSettings(Struct, frozen=True, kw_only=True):
    """`[supervisor]`. `user` and `group` are names or numbers; "" and None: as the process was started."""

    host: Annotated[str, rules.host] = ""
    grace: Annotated[float, seconds()] = 30.0
    boot_timeout: Annotated[float, seconds(1)] = 30.0
    control_socket: Annotated[Path, rules.path] = Path("var/supervisor.sock")
    pidfile: Annotated[Path, rules.path] = Path("var/supervisor.pid")
    exit_when: Annotated[Literal["never", "any", "all"], one_of("never", "any", "all")] = "never"
    metrics_file: Annotated[Path | None, rules.optional_path] = None
    user: Annotated[str, rules.account] = ""
    group: Annotated[str, rules.account] = ""
    umask: Annotated[int | None, rules.umask] = None


class LoggingSettings(Struct, frozen=True, kw_only=True):
    """`[logging]`."""

    format: Annotated[Literal["text", "json"], one_of("text", "json")] = "text"
    level: Annotated[str, one_of("debug", "info", "warning", "error")] = "info"


class TokenSettings(Struct, frozen=True, kw_only=True):
    """`[web.tokens.NAME]`: who shows this token. `owner` is whose tasks a `user` sees; default its name."""

    name: str = ""
    token: Annotated[str, binding.token] = ""
    role: Annotated[Literal["user", "reader", "operator"], one_of("user", "reader", "operator")] = "user"
    owner: Annotated[str, rules.name] = ""

    def __repr__(self) -> str:
        return f"TokenSettings(name={self.name!r}, token={MASK!r}, role={self.role!r}, owner={self.owner!r})"


class WebSettings(Struct, frozen=True, kw_only=True):
    """`[web]`. `bind` None: the supervisor runs no web server. `enqueue`: which tasks callers may enqueue."""

    bind: Annotated[Bind | None, binding.bind] = None
    enqueue: Annotated[bool | tuple[str, ...], binding.enqueue] = False
    allowed_hosts: Annotated[tuple[str, ...], binding.hosts] = ()
    root_path: Annotated[str, binding.root_path] = ""
    tokens: dict[str, TokenSettings] = {}


class MemoryOptions(Struct, frozen=True):
    """memory:// takes none."""


class SqliteOptions(Struct, frozen=True):
    """What a SQLite store takes beside its URL."""

    prefix: Annotated[str, rules.prefix] = "taskqueue_"


class MysqlOptions(SqliteOptions, frozen=True):
    """What a MySQL or MariaDB store takes beside its URL."""


class PostgresqlOptions(SqliteOptions, frozen=True):
    """What a PostgreSQL store takes beside its URL."""

    schema: Annotated[str | None, rules.optional] = None
    listen: Annotated[bool, one_of(*rules.SWITCH)] = True
    direct_url: Annotated[str | None, rules.optional] = None


class SqsOptions(Struct, frozen=True):
    """What an SQS broker takes beside its URL."""

    prefix: Annotated[str, rules.prefix] = "taskqueue_"
    endpoint_url: Annotated[str | None, rules.optional] = None
    wait_time: Annotated[int, whole(0, 20)] = 20
    dead_letter_queue: Annotated[str | None, rules.optional] = None
    create: Annotated[bool, one_of(*rules.SWITCH)] = True
    max_message_size: Annotated[int, message_size] = 256 * 1024
    repush_after: Annotated[float, seconds(60)] = 7 * 86400.0


#: URL scheme -> its options. A scheme that is not here belongs to a third party.
OPTIONS: dict[str, type[Struct]] = {
    "memory": MemoryOptions,
    "sqlite": SqliteOptions,
    "postgresql": PostgresqlOptions,
    "mysql": MysqlOptions,
    "mariadb": MysqlOptions,
    "sqs": SqsOptions,
}


class Settings(Struct, frozen=True, kw_only=True):
    """All that one configuration file says. `file` is None if it was no file."""

    app: AppSettings
    brokers: dict[str, BrokerSettings]
    task_log: TaskLogSettings
    queue_defaults: QueueSettings
    queues: dict[str, QueueSettings]
    pools: dict[str, PoolSettings]
    supervisor: SupervisorSettings
    logging: LoggingSettings
    web: WebSettings
    file: Path | None
    root: Path


@cache
def rules_of(struct: type[Struct]) -> dict[str, Rule]:
    """The keys of a table that this struct reads, and the rule of each."""
    hints = get_type_hints(struct, include_extras=True)
    return {key: hint.__metadata__[0] for key, hint in hints.items() if hasattr(hint, "__metadata__")}


def scheme_of(url: str) -> str:
    """The kind of store that a URL names, without its driver: postgresql+psycopg://... is "postgresql"."""
    return url.partition("://")[0].partition("+")[0]
