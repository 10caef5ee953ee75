"""What every `destinations.senders.port.Sender` must do. Subclass `SenderContract` and give `destination`."""

import asyncio
import re
from collections import Counter
from collections.abc import Awaitable, Callable
from typing import Final, Protocol, TypeVar

from destinations.delivery import Answer, Delivery, schedule
from destinations.queues import CONCURRENCY
from destinations.senders.port import Sender
from schemas.records import Transition

T = TypeVar("T")

NOW: Final = 1_900_000_000_000
_WORD: Final = re.compile(r"[a-z0-9_]{3,40}")


class Destination(Protocol):
    """A real one, which the contract can put into each state that a sender meets."""

    def sender(self) -> Sender:
        """For a trigger with this destination. It waits less than a second for an answer."""
        ...

    def misdeclared(self) -> Sender:
        """For a trigger that was accepted once and that nothing can be sent to today."""
        ...

    def arrived(self) -> list[tuple[str, str]]:
        """The id and content of all that has arrived, in order."""
        ...

    def accept(self) -> None: ...

    def refuse(self) -> None:
        """Answer every attempt with an error, for now."""
        ...

    def hang(self) -> None:
        """Take what comes and never answer."""
        ...

    def vanish(self) -> None:
        """Be gone, as if the machine was switched off."""
        ...


def a_delivery(number: int = 1) -> Delivery:
    transition = Transition(
        segment="vip",
        version=1,
        profile=f"{number:032x}",
        kind="entered",
        at=NOW,
        entered_at=NOW,
        cause="event",
        id=f"trn_{number}",
    )
    return schedule(transition, "t", [{"type": "user_id", "value": f"سارا-{number}"}], NOW)


def used(sender: Sender, work: Callable[[Sender], Awaitable[T]]) -> T:
    """Do something with a sender on a loop of its own, and close it."""

    async def run() -> T:
        try:
            return await work(sender)
        finally:
            await sender.close()

    return asyncio.run(run())


def attempted(sender: Sender, *deliveries: Delivery) -> list[Answer]:
    """All at once."""

    async def run(sender: Sender) -> list[Answer]:
        return list(await asyncio.gather(*map(sender.attempt, deliveries)))

    return used(sender, run)


def assert_failed(answer: Answer) -> None:
    assert not answer.ok
    assert _WORD.fullmatch(answer.error), "one word of ours: no text of a stranger"


class SenderContract:
    def test_a_delivery_arrives_once_as_it_is(self, destination: Destination) -> None:
        delivery = a_delivery()
        [answer] = attempted(destination.sender(), delivery)
        assert answer.ok
        assert not answer.gone
        assert destination.arrived() == [(delivery.id, delivery.body)]

    def test_a_repeated_attempt_can_be_recognised(self, destination: Destination) -> None:
        delivery = a_delivery()
        destination.refuse()
        assert_failed(attempted(destination.sender(), delivery)[0])
        destination.accept()
        assert attempted(destination.sender(), delivery)[0].ok
        assert set(destination.arrived()) == {(delivery.id, delivery.body)}

    def test_many_attempts_at_a_time(self, destination: Destination) -> None:
        deliveries = [a_delivery(number) for number in range(2 * CONCURRENCY)]
        answers = attempted(destination.sender(), *deliveries)
        assert all(answer.ok for answer in answers)
        assert Counter(destination.arrived()) == Counter((one.id, one.body) for one in deliveries)

    def test_nobody_there_is_an_answer(self, destination: Destination) -> None:
        destination.vanish()
        assert_failed(attempted(destination.sender(), a_delivery())[0])

    def test_a_destination_that_goes_away_in_between_is_an_answer(self, destination: Destination) -> None:
        async def work(sender: Sender) -> tuple[Answer, Answer]:
            first = await sender.attempt(a_delivery(1))
            await asyncio.to_thread(destination.vanish)
            return first, await sender.attempt(a_delivery(2))

        first, second = used(destination.sender(), work)
        assert first.ok
        assert_failed(second)

    def test_silence_is_an_answer_in_time(self, destination: Destination) -> None:
        destination.hang()

        async def work(sender: Sender) -> list[Answer]:
            async with asyncio.timeout(10):
                return list(await asyncio.gather(*(sender.attempt(a_delivery(n)) for n in range(CONCURRENCY))))

        for answer in used(destination.sender(), work):
            assert_failed(answer)

    def test_a_declaration_that_serves_no_more_is_an_answer(self, destination: Destination) -> None:
        assert_failed(attempted(destination.misdeclared(), a_delivery())[0])
        assert destination.arrived() == []

    def test_an_attempt_may_be_cancelled(self, destination: Destination) -> None:
        destination.hang()

        async def work(sender: Sender) -> Answer:
            task = asyncio.create_task(sender.attempt(a_delivery(1)))
            while not destination.arrived():
                await asyncio.sleep(0.005)
            task.cancel()
            [error] = await asyncio.gather(task, return_exceptions=True)
            assert isinstance(error, asyncio.CancelledError)
            destination.accept()
            return await sender.attempt(a_delivery(2))

        assert used(destination.sender(), work).ok

    def test_tidying_and_closing_disturb_nobody(self, destination: Destination) -> None:
        async def work(sender: Sender) -> list[Answer]:
            await sender.tidy()
            attempts = [asyncio.create_task(sender.attempt(a_delivery(n))) for n in range(CONCURRENCY)]
            await asyncio.sleep(0)
            await sender.tidy()
            await sender.close()
            await sender.close()
            return list(await asyncio.gather(*attempts))

        assert all(answer.ok for answer in used(destination.sender(), work))
