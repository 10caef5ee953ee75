"""The port between the trigger stage and destinations. `tests/contracts/sender.py` is the contract of every sender.
`choice.py` chooses the sender of a trigger.
"""

from collections.abc import Callable
from typing import Protocol

from destinations.delivery import Answer, Delivery
from registry.models import Trigger


class Sender(Protocol):
    """Sends deliveries to the destination of one trigger. Used on one event loop; never blocks it.

    Up to `destinations.queues.CONCURRENCY` attempts run at a time. A sender bounds how long each of them takes.
    """

    async def attempt(self, delivery: Delivery) -> Answer:
        """Send the delivery once, with its id, so that the destination can recognise a repeated one.

        A fault of the destination, the network or the declaration is an `Answer` with an error. An exception is a fault
        of our own, and ends the stage. May be cancelled at any moment.
        """
        ...

    async def tidy(self) -> None:
        """Release unused resources, such as expired connections. Called about once a minute."""
        ...

    async def close(self) -> None:
        """Release everything; attempts in progress do so at their end. May be called twice."""
        ...


OpenSender = Callable[[Trigger], Sender]
"""Makes the sender for the present declaration of a trigger. Does not connect."""
