"""A person with an XMPP client (slixmpp, not ours) on one of the partners' servers."""

from __future__ import annotations

import asyncio
from typing import Any

import slixmpp

WAIT_SECONDS = 120.0


class Person(slixmpp.ClientXMPP):  # type: ignore[misc]
    """Collects what arrives."""

    def __init__(self, address: str, password: str, host: str) -> None:
        unencrypted = {"unencrypted_plain": True, "unencrypted_scram": True}
        super().__init__(f"{address}/client", password, plugin_config={"feature_mechanisms": unencrypted})
        self._host = host
        self.messages: asyncio.Queue[Any] = asyncio.Queue()
        self.started: asyncio.Event = asyncio.Event()
        self.register_plugin("xep_0199")
        self.enable_starttls = self.enable_direct_tls = False
        self.add_event_handler("session_start", self._on_start)
        self.add_event_handler("message", self.messages.put_nowait)
        self.add_event_handler("message_error", self.messages.put_nowait)

    async def come_online(self) -> None:
        self.enable_plaintext = True
        self.connect(self._host, 5222)
        async with asyncio.timeout(WAIT_SECONDS):
            await self.started.wait()

    async def _on_start(self, _: object) -> None:
        self.send_presence()
        self.started.set()

    async def next_message(self) -> Any:
        async with asyncio.timeout(WAIT_SECONDS):
            return await self.messages.get()

    async def go(self) -> None:
        await self.disconnect()
