"""A relay between unix sockets that does what bad networks do. A process of its own; it obeys lines on its stdin:

    cut NAME            closes all connections of the relay NAME
    middle NAME BYTES   lets so many bytes of the next replies pass, then closes that connection
    stall NAME MS       passes nothing on for so long
    trickle NAME MS     passes on a few bytes at a time for so long

    proxy.py TARGET NAME=SOCKET...
"""

import asyncio
import sys

CHUNK = 65536
DRIP = 3          # bytes at a time
DRIP_PAUSE = 0.001


class Relay:
    """One listening socket and its connections to the target."""

    def __init__(self, target):
        self.target = target
        self.writers = set()
        self.stalled_until = self.trickled_until = 0.0
        self.bytes_left = None  # of replies, before the connection they belong to is cut

    async def serve(self, reader, writer):
        try:
            target_reader, target_writer = await asyncio.open_unix_connection(self.target)
        except OSError:
            writer.close()
            return
        pair = {writer, target_writer}
        self.writers |= pair
        ways = [asyncio.create_task(self.pass_on(reader, target_writer, False)),
                asyncio.create_task(self.pass_on(target_reader, writer, True))]
        await asyncio.wait(ways, return_when=asyncio.FIRST_COMPLETED)
        for way in ways:
            way.cancel()
        self.writers -= pair
        for end in pair:
            end.close()

    async def pass_on(self, reader, writer, is_reply):
        now = asyncio.get_running_loop().time
        try:
            while data := await reader.read(CHUNK):
                while (rest := self.stalled_until - now()) > 0:
                    await asyncio.sleep(rest)
                if is_reply and self.bytes_left is not None:
                    data, rest = data[:self.bytes_left], len(data) - self.bytes_left
                    self.bytes_left = None if rest >= 0 else -rest
                    writer.write(data)
                    await writer.drain()
                    if rest >= 0:
                        return
                    continue
                while data and now() < self.trickled_until and not writer.is_closing():
                    writer.write(data[:DRIP])
                    data = data[DRIP:]
                    await asyncio.sleep(DRIP_PAUSE)
                writer.write(data)
                await writer.drain()
        except OSError:
            return

    def cut(self):
        for writer in self.writers:
            writer.transport.abort()


async def obey(relays):
    loop = asyncio.get_running_loop()
    lines = asyncio.StreamReader()
    await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(lines), sys.stdin)
    while line := await lines.readline():
        command, name, *rest = line.decode().split()
        relay, number = relays[name], int(rest[0]) if rest else 0
        if command == "cut":
            relay.cut()
        elif command == "middle":
            relay.bytes_left = number
        elif command == "stall":
            relay.stalled_until = loop.time() + number / 1000
        elif command == "trickle":
            relay.trickled_until = loop.time() + number / 1000


async def main(target, *sockets):
    relays, servers = {}, []
    for name, path in (socket.split("=", 1) for socket in sockets):
        relays[name] = Relay(target)
        servers.append(await asyncio.start_unix_server(relays[name].serve, path))
    await obey(relays)


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))
