"""Clients choose among three rate-limited endpoints on loopback, and their load follows capacity.

Each endpoint is a server that answers so many requests in a step and refuses the rest. Its limit changes over
time; an answer says what it is, as the rate-limit headers of real services do. No client knows another: the
selector that they share counts the loads, and nobody deals them out.
"""

import asyncio
from collections import Counter

from safeguards.allocation import FlowStrategy, ResourceSelector, experiment_setting

CLIENTS = [f"client-{number}" for number in range(150)]
NAMES = ("north", "south", "west")
LIMITS = experiment_setting(1, total=len(CLIENTS))[::10].round().astype(int)
"""(100, 3): the limit of each endpoint in each step, two waves and what they leave."""


class Endpoint:
    """A server that has a limit of requests per step."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.limit = self.left = 0

    def begin_step(self, limit: int) -> None:
        """Starts counting anew, to a new limit."""
        self.limit = self.left = limit

    async def answer(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Serves a connection: a line per request, a line with status and limit per answer."""
        while await reader.readline():
            status = 200 if self.left > 0 else 429
            self.left -= status == 200
            writer.write(f"{status} {self.limit}\n".encode())
            await writer.drain()
        writer.close()


class Connection:
    """What the clients share to talk to one endpoint: requests and their answers in order."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader, self.writer = reader, writer

    async def send(self, clients: list[str]) -> list[tuple[str, int, int]]:
        """Sends one request for each client; returns (client, status, limit) for each."""
        self.writer.writelines(f"{client}\n".encode() for client in clients)
        await self.writer.drain()
        answers = [(await self.reader.readline()).split() for _ in clients]
        return [(client, *map(int, answer)) for client, answer in zip(clients, answers, strict=True)]


async def step(selector: ResourceSelector, connections: dict[str, Connection]) -> int:
    """Lets every client choose, send and learn; returns how many were refused."""
    chosen = {client: selector.choose(client) for client in CLIENTS}
    refused = 0
    for name, connection in connections.items():
        for client, status, limit in await connection.send([c for c in CLIENTS if chosen[c] == name]):
            selector.report(client, name, overloaded=status == 429)
            selector.observe_capacity(name, limit)
            refused += status == 429
    return refused


async def main() -> None:
    """Runs all steps and says how far load was from capacity."""
    endpoints = {name: Endpoint(name) for name in NAMES}
    servers = [await asyncio.start_server(endpoint.answer, "127.0.0.1", 0) for endpoint in endpoints.values()]
    ports = [server.sockets[0].getsockname()[1] for server in servers]
    connections = {
        name: Connection(*await asyncio.open_connection("127.0.0.1", port))
        for name, port in zip(NAMES, ports, strict=True)
    }
    selector = ResourceSelector(NAMES, FlowStrategy(), seed=1)
    refused, off = 0, Counter[int]()
    print("step   load/limit of", *(f"{name:>8}" for name in NAMES))
    for number, limits in enumerate(LIMITS, start=1):
        for endpoint, limit in zip(endpoints.values(), limits, strict=True):
            endpoint.begin_step(int(limit))
        refused += await step(selector, connections)
        loads = selector.advance()
        off.update(abs(load - int(limit)) for load, limit in zip(loads.values(), limits, strict=True))
        if number % 10 == 0:
            pairs = (f"{load:>4}/{limit}" for load, limit in zip(loads.values(), limits, strict=True))
            print(f"{number:>4}                ", *(f"{pair:>8}" for pair in pairs))
    print(f"refused: {refused / len(CLIENTS) / len(LIMITS):.1%} of {len(CLIENTS) * len(LIMITS):,} requests")
    print(f"load within 5 of the limit: {sum(off[n] for n in range(6)) / off.total():.0%} of the time")
    for connection in connections.values():
        connection.writer.close()
        await connection.writer.wait_closed()
    for server in servers:
        server.close()
        await server.wait_closed()


if __name__ == "__main__":
    asyncio.run(main())
