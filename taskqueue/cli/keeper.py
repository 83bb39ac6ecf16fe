"""`taskqueue keeper`."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

import click

from taskqueue.cli.command import Command
from taskqueue.cli.session import Session
from taskqueue.errors import BrokerUnavailable, ConfigurationError

if TYPE_CHECKING:
    from taskqueue.keeper import Keeper
    from taskqueue.worker.orders import Orders

log = logging.getLogger(__name__)


@click.command(
    "keeper",
    cls=Command,
    examples=(("taskqueue keeper", "until TERM or INT"), ("taskqueue keeper --once", "one round, e.g. from cron")),
)
@click.option("--once", is_flag=True, help="Do everything that is due now, then leave.")
@click.pass_obj
def command(session: Session, *, once: bool) -> None:
    """Do the chores: give back what dead workers held, push what producers could not, purge, fold counts.

    Workers that run without a supervisor do the same beside their work, and any number may. TERM and INT end it.
    """
    from taskqueue.worker.orders import Orders

    session.talks = True
    keeper = session.app.keeper()
    if once:
        try:
            keeper.step()
        except BrokerUnavailable as error:
            raise error.__cause__ if isinstance(error.__cause__, ConfigurationError) else error  # noqa: B904  # the same
        return
    orders = Orders()
    orders.install()
    log.info("keeper started", extra={"config": session.config_name})
    try:
        _keep(keeper, orders)
    finally:
        orders.restore()
    log.info("keeper ended")


def _keep(keeper: Keeper, orders: Orders) -> None:
    """A step each second; while a store is away, one line when it goes and one when it is back (P15)."""
    away = False
    while not orders.stop:
        try:
            keeper.step()
            if away:
                log.warning("the store is back")
            away = False
        except BrokerUnavailable as error:
            if not away:
                log.warning("the store is away: %s", error)
            away = True
        orders.wait(1.0)
        orders.obey()
