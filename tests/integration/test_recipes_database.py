"""The README's recipes for an application's own transaction, and its own Alembic (P1, P21)."""

from __future__ import annotations

import pytest

from tests.support.recipes import Kitchen

pytestmark = [pytest.mark.process, pytest.mark.timeout(120)]


def test_order_and_task_are_stored_together_or_not_at_all(tmp_path):
    kitchen = Kitchen(tmp_path)
    told = kitchen.run(
        """
        import taskqueue
        from sqlalchemy import event, select, func
        from sqlalchemy.orm import Session
        from shop import orders

        orders.queue.initialize()
        orders.Base.metadata.create_all(orders.engine)
        task = orders.place_order("ann@example.org")

        @event.listens_for(Session, "before_commit")
        def refuse(session):
            raise ConnectionError("the line is down")

        try:
            orders.place_order("bob@example.org")
        except ConnectionError as error:
            print(error)
        event.remove(Session, "before_commit", refuse)
        with Session(orders.engine) as session:
            print(session.scalars(select(orders.Order.email)).all())
        print([entry.id for entry in orders.queue.task_log.search().entries] == [task])
        orders.engine.dispose()
        """,
        "-W",
        "error",
    )
    assert told == ["the line is down", "['ann@example.org']", "True"]
    assert any("tasks=1" in line for line in kitchen.work())


@pytest.mark.parametrize(("option", "dropped"), [("include_name=include_name", False), ("", True)])
def test_an_application_s_alembic_leaves_our_tables_alone(tmp_path, option, dropped):
    kitchen = Kitchen(tmp_path)
    told = kitchen.run(
        f"""
        from alembic.autogenerate import compare_metadata
        from alembic.migration import MigrationContext
        from shop import orders
        from shop.names import include_name

        orders.queue.initialize()
        with orders.engine.connect() as connection:
            context = MigrationContext.configure(connection, opts=dict({option}))
            changes = compare_metadata(context, orders.Base.metadata)
        print(sorted({{(change[0], getattr(change[1], "name", "")) for change in changes}}))
        """,
        "-W",
        "error",
    )
    assert "('add_table', 'orders')" in told[0]
    assert ("remove_table" in told[0]) is dropped
