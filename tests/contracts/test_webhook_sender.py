"""The webhook sender passes the contract of every sender; what HTTP adds to it is below."""

import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack

import httpcore
import pytest

from destinations.delivery import Answer
from destinations.senders.webhook import WebhookSender
from registry.models import Webhook
from tests.contracts.sender import NOW, SenderContract, a_delivery, attempted
from tests.webhook_receiver import Receiver, Reply, receiving

SECRET = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"


class HttpReceiver:
    """See `tests.contracts.sender.Destination`."""

    def __init__(self, receiver: Receiver, stop: Callable[[], None]) -> None:
        self._receiver = receiver
        self._stop = stop
        self.released = threading.Event()
        """Lets what hangs end with the test."""

    def sender(self, url: str = "") -> WebhookSender:
        webhook = Webhook.model_validate({"url": url or self._receiver.url, "secret": SECRET})
        return WebhookSender(
            webhook,
            clock=lambda: NOW,
            allow_private=True,
            ssl_context=httpcore.default_ssl_context(),
            timeout=0.7,
        )

    def misdeclared(self) -> WebhookSender:
        return self.sender("ftp://127.0.0.1/")

    def arrived(self) -> list[tuple[str, str]]:
        return [(call.id, call.body.decode()) for call in self._receiver.calls]

    def accept(self) -> None:
        self.reply(204)

    def refuse(self) -> None:
        self.reply(503)

    def hang(self) -> None:
        def never(number: int) -> Reply:
            self.released.wait(30)
            return 200, {}

        self._receiver.answer = never

    def vanish(self) -> None:
        def cut(number: int) -> Reply:
            raise ConnectionAbortedError

        self._receiver.answer = cut  # connections that are kept outlive the listener
        self._stop()

    def reply(self, status: int, **headers: str) -> None:
        self._receiver.answer = lambda number: (
            status,
            {name.replace("_", "-"): value for name, value in headers.items()},
        )


@pytest.fixture
def destination() -> Iterator[HttpReceiver]:
    with ExitStack() as stack:
        made = HttpReceiver(stack.enter_context(receiving()), stack.close)
        try:
            yield made
        finally:
            made.released.set()


class TestWebhookSender(SenderContract):
    pass


def answer_to(destination: HttpReceiver, status: int, **headers: str) -> Answer:
    destination.reply(status, **headers)
    [answer] = attempted(destination.sender(), a_delivery())
    return answer


def test_every_2xx_means_that_it_has_arrived(destination: HttpReceiver) -> None:
    assert [answer_to(destination, status) for status in (200, 202, 204, 299)] == [
        Answer(200),
        Answer(202),
        Answer(204),
        Answer(299),
    ]


def test_any_other_status_is_an_error(destination: HttpReceiver) -> None:
    assert answer_to(destination, 302, location="/elsewhere") == Answer(302, "http_302")
    assert answer_to(destination, 404) == Answer(404, "http_404")
    assert answer_to(destination, 503, retry_after="120") == Answer(503, "http_503", 120_000)
    assert len(destination.arrived()) == 3


def test_gone_means_that_nothing_more_is_wanted(destination: HttpReceiver) -> None:
    assert answer_to(destination, 410) == Answer(410, "http_410", gone=True)
