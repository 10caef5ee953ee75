"""How the trigger stage connects: kept connections, certificates, and names that turn private."""

import ssl

import pytest
import trustme

from tests.integration.webhook_house import SECOND, House
from tests.webhook_receiver import receiving

pytest_plugins = ("tests.integration.webhook_fixtures",)


def test_connections_are_kept(house: House) -> None:
    with receiving() as receiver, house.running() as stage:
        house.declare("welcome", receiver.url)
        for profile in range(20):
            house.tell((profile + 1, "entered"))
            assert stage.flush()
    assert len(receiver.calls) == 20
    assert receiver.connections <= 2


@pytest.mark.parametrize(("host", "status"), [("hooks.example.com", "delivered"), ("other.example.com", "pending")])
def test_the_certificate_is_checked_against_the_name_not_the_address(house: House, host: str, status: str) -> None:
    async def here(host: str, port: int) -> list[str]:
        return ["127.0.0.1"]

    authority = trustme.CA()
    context, trusting = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER), ssl.create_default_context()
    authority.issue_cert("hooks.example.com").configure_cert(context)
    authority.configure_trust(trusting)
    with receiving(tls=context) as receiver, house.running(lookup=here, ssl_context=trusting) as stage:
        house.declare("welcome", f"https://{host}:{receiver.port}/hook")
        house.tell((1, "entered"))
        assert stage.flush()
    assert house.row()["status"] == status
    assert house.row()["error"] == ("" if status == "delivered" else "tls_failed")
    assert [call.headers["host"] for call in receiver.calls] == [f"{host}:{receiver.port}"] * len(receiver.calls)


def test_a_name_that_turns_private_is_not_called(house: House) -> None:
    """The receiver listens; a public name that resolves to it must still open no connection."""
    answers = iter([["93.184.215.14", "127.0.0.1"], ["127.0.0.1"]])

    async def rebinding(host: str, port: int) -> list[str]:
        return next(answers)

    with receiving() as receiver, house.running(allow_private=False, lookup=rebinding) as stage:
        house.declare("welcome", "https://hooks.example.com/in")
        house.tell((1, "entered"))
        assert stage.flush()
        house.now += 5 * SECOND
        assert stage.flush()
    assert (receiver.calls, receiver.connections) == ([], 0)
    assert (house.row()["attempts"], house.row()["error"]) == (2, "webhook_address_refused")
