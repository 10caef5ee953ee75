"""Which connection gives up its place when another needs one."""

import asyncio
import socket
from typing import Any

from uvicorn import Config
from uvicorn.server import ServerState

from simorgh.listener import HttpConnection, Limits, Places


async def _nobody(scope: Any, receive: Any, send: Any) -> None:
    """An application that is never called."""


def test_a_connection_with_a_request_on_the_wire_keeps_its_place() -> None:
    """The event loop is late, and the client waited long enough: its request is there, only not read yet."""

    async def scenario() -> None:
        places, config = Places(Limits()), Config(_nobody)
        config.load()

        def connection() -> HttpConnection:
            return HttpConnection(places, config=config, server_state=ServerState(), app_state={})

        loop = asyncio.get_running_loop()
        listener = await loop.create_server(connection, "127.0.0.1", 0)
        with socket.create_connection(listener.sockets[0].getsockname()) as client:
            while not len(places):
                await asyncio.sleep(0.01)
            late = loop.time() + 1
            assert places.strangers.first(None, late) is not None
            client.sendall(b"GET / HTTP/1.1\r\n")  # and the loop does not run meanwhile
            assert places.strangers.first(None, late) is None
        listener.close()

    asyncio.run(scenario())
