"""The port between the trigger stage and the world: what a sender of any kind must do.

`tests/contracts/sender.py` is the contract, played on every sender. `choice.py` says which one a trigger has.
"""

from collections.abc import Callable
from typing import Protocol

from destinations.delivery import Answer, Delivery
from registry.models import Trigger


class Sender(Protocol):
    """Takes deliveries to the destination of one trigger. Used on one event loop; never blocks it.

    Up to `destinations.queues.CONCURRENCY` attempts run at a time. A sender bounds how long each of them takes.
    """

    async def attempt(self, delivery: Delivery) -> Answer:
        """Send the delivery once, with its id, so that the destination can recognise a repeated one.

        Never raises for what a destination, a network or a declaration can do: that is an `Answer` with an error. What
        it raises is a fault of our own, and ends the stage. May be cancelled at any moment.
        """
        ...

    async def tidy(self) -> None:
        """Let go of what nobody will use any more, such as expired connections. Called about once a minute."""
        ...

    async def close(self) -> None:
        """Let go of everything; attempts under way do so at their end. May be called twice."""
        ...


OpenSender = Callable[[Trigger], Sender]
"""Makes the sender of a trigger as it is declared now. Does not connect."""
