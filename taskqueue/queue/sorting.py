"""Deliveries that may not run: dropped, hidden, put in their place or adopted, never looped on (P7, R7)."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import nullcontext, suppress

from taskqueue.errors import BrokerUnavailable
from taskqueue.message import Delivery
from taskqueue.queue.intake import Intake
from taskqueue.queue.values import Held
from taskqueue.status import HELD
from taskqueue.tasklog.entry import Claim, Entry, Refusal

#: seconds until a message is looked at again that waits for a task of its group: one that runs, one not sent yet
WHILE_IT_RUNS, UNTIL_IT_IS_SENT = 30.0, 5.0


class Sorting:
    """What a queue does with the messages whose claims were refused. `hints`: messages are only hints (R7)."""

    def __init__(self, intake: Intake, *, hints: bool) -> None:
        self._intake = intake
        self._broker = intake.broker
        self._log = intake.task_log
        self._hints = hints

    def without_twins(self, held: Sequence[Held]) -> list[Held]:
        """One delivery a task: a second message of the same one is dropped (P2)."""
        first = {h.claim.id: h for h in reversed(held)}
        twins = [h.delivery for h in held if first[h.claim.id] is not h]
        if twins:
            self._tidy(lambda: self._drop(twins))
        return [h for h in held if first[h.claim.id] is h]

    def _drop(self, twins: Sequence[Delivery]) -> None:
        if self._hints:
            # It may be one message that came twice, and the first is gone with the second. Should the task be given
            # back, the outbox sends a new one: it knows before the message goes, or it might be lost.
            self._log.relayed([d.id for d in twins], at=None)
        self._broker.ack(twins)

    def sort(self, deliveries: Sequence[Delivery], answers: Mapping[str, Claim | Refusal]) -> list[Delivery]:
        """Deal with each that was refused; those that were given an entry, so that they can be claimed after all."""
        by_reason: dict[Refusal, list[Delivery]] = {reason: [] for reason in Refusal}
        for delivery in deliveries:
            answer = answers[delivery.id]
            if isinstance(answer, Refusal):
                by_reason[answer].append(delivery)
        adopted = [d for d in by_reason[Refusal.MISSING] if self._intake.adopt(d)]
        junk = [d for d in by_reason[Refusal.MISSING] if d not in adopted]
        if gone := by_reason[Refusal.ENDED] + junk:
            self._tidy(lambda: self._broker.ack(gone))
        if by_reason[Refusal.HELD]:
            self._held_elsewhere(by_reason[Refusal.HELD])
        for early in by_reason[Refusal.EARLY]:
            self._tidy(lambda early=early: self._put_off(early))  # type: ignore[misc]  # bound now
        if by_reason[Refusal.BEHIND]:
            self._behind(by_reason[Refusal.BEHIND], {d.id for d in deliveries})
        if crowded := by_reason[Refusal.CROWDED]:
            self._tidy(lambda: self._broker.release(crowded))
        return adopted

    def _held_elsewhere(self, deliveries: Sequence[Delivery]) -> None:
        if self._broker.capabilities.immediate:
            # Nothing can be hidden there, and nothing is lost: the one that runs it holds the other message of it.
            self._broker.ack(deliveries)
            return
        # Another worker runs it. Looked at again when that one's lease is over, whatever became of it.
        self._tidy(lambda: self._broker.release(deliveries, delay=self._intake.limits.lease))

    def _put_off(self, delivery: Delivery) -> None:
        entry = self._log.get(delivery.id)
        if entry is not None:
            self._broker.release([delivery], delay=self._intake.wait_of(entry))

    def _behind(self, deliveries: Sequence[Delivery], batch: set[str]) -> None:
        """Not their turn. Those that came with the task whose turn it is stand behind it, or come with it again."""
        turns = self._log.turns([d.id for d in deliveries])
        in_place = [d for d in deliveries if turns.get(d.id, d.id) in batch]
        if in_place:
            self._tidy(lambda: self._broker.release(in_place))
        for delivery in deliveries:
            if delivery not in in_place and (first := self._log.get(turns[delivery.id])) is not None:
                self._tidy(lambda d=delivery, first=first: self._overtook(d, first))  # type: ignore[misc]  # bound now

    def _overtook(self, delivery: Delivery, first: Entry) -> None:
        """This message came although another task is before it: that one's message is lost, late or not sent yet."""
        if first.status in HELD or first.relayed_at is None:
            self._broker.release([delivery], delay=WHILE_IT_RUNS if first.status in HELD else UNTIL_IT_IS_SENT)
            return
        # Both are pushed anew, in their order. The outbox knows before the message goes, or it might be lost.
        self._log.relayed([first.id, delivery.id], at=None)
        self._broker.ack([delivery])

    def _tidy(self, step: Callable[[], object]) -> None:
        """Where messages are only hints, one that cannot be dealt with now is when it comes again."""
        with suppress(BrokerUnavailable) if self._hints else nullcontext():
            step()
