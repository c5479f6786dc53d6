"""A proxy on a unix socket in front of a redis-server, for tests that need to do something at a certain byte.

It reads RESP, so it knows where each command and each reply begins and ends, and counts the commands of all connections
in the order in which it forwards them. Two hooks are called in the proxy's thread, and nothing moves on any connection
while one of them runs:

    before(command)         before the command is forwarded. Gives None, or CUT to end the connection instead.
    after(command, reply)   when Redis has executed it, before the reply (its bytes) is passed on. Gives None, or how
                            many bytes of the reply to pass on before the connection is cut.

A hook that raises ends its connection, and stop() raises the same. From any thread, hooks included:

    hold(), go_on()   hold all bytes in both directions, and let them go on
    drip(seconds)     pass on every byte by itself, with a pause after each; None: no more
    cut()             end all connections
    linger(), part()  let Redis hear of connections that clients have ended only later, as a network may; let it hear
"""

import asyncio
import contextlib
import os
import socket
import struct
import threading
from collections import deque
from dataclasses import dataclass

CUT = object()
CHUNK = 65536


def find_end(buffer, start=0):
    """The end of the RESP value that begins at `start`, or None while bytes of it are missing."""
    line_end = buffer.find(b"\r\n", start)
    if line_end < 0:
        return None
    kind, rest = buffer[start:start + 1], buffer[start + 1:line_end]
    end = line_end + 2
    if kind == b"$" and rest != b"-1":
        end += int(rest) + 2
        return end if end <= len(buffer) else None
    if kind == b"*":
        for _ in range(int(rest)):
            end = find_end(buffer, end)
            if end is None:
                return None
    return end


def words_of(command):
    """The words of a command as it is sent: an array of strings."""
    words, position = [], command.index(b"\r\n") + 2
    while position < len(command):
        start = command.index(b"\r\n", position) + 2
        position = start + int(command[position + 1:start - 2]) + 2
        words.append(command[start:position - 2])
    return words


@dataclass
class Command:
    number: int  # from 1, over all connections
    words: list  # bytes
    raw: bytes
    pid: int     # of the process that has connected

    @property
    def name(self):
        return self.words[0].decode().upper()


class Connection:
    """One client's connection and its own one to Redis."""

    def __init__(self, proxy, reader, writer):
        self.proxy = proxy
        self.reader, self.writer = reader, writer
        self.upstream_writer = None
        self.waiting = deque()  # commands that Redis has not answered yet
        credentials = writer.get_extra_info("socket").getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, 12)
        self.pid = struct.unpack("3i", credentials)[0]

    async def run(self):
        try:
            upstream_reader, self.upstream_writer = await asyncio.open_unix_connection(self.proxy.upstream, limit=CHUNK)
            ways = [asyncio.ensure_future(self.pump_commands()),
                    asyncio.ensure_future(self.pump(upstream_reader, self.pass_reply))]
            _, others = await asyncio.wait(ways, return_when=asyncio.FIRST_COMPLETED)
            for way in others:
                way.cancel()
        except OSError:
            pass  # Redis is not there; the client finds the connection ended
        finally:
            self.close()

    def close(self):
        for writer in (self.writer, self.upstream_writer):
            if writer:
                writer.close()

    async def pump_commands(self):
        await self.pump(self.reader, self.pass_command)
        await self.proxy.parting.wait()

    async def pump(self, reader, pass_on):
        """Cuts what arrives into RESP values until one side ends."""
        buffer = b""
        try:
            while chunk := await reader.read(CHUNK):
                buffer += chunk
                while buffer and (end := find_end(buffer)) is not None:
                    value, buffer = buffer[:end], buffer[end:]
                    await self.proxy.flowing.wait()
                    if not await pass_on(value):
                        return
        except OSError:
            pass
        except Exception as error:  # of a hook
            self.proxy.errors.append(error)

    async def pass_command(self, raw):
        self.proxy.count += 1
        command = Command(self.proxy.count, words_of(raw), raw, self.pid)
        if self.proxy.before and self.proxy.before(command) is CUT:
            return False
        await self.proxy.flowing.wait()
        self.waiting.append(command)
        return await self.write(self.upstream_writer, raw)

    async def pass_reply(self, reply):
        command = self.waiting.popleft()
        size = self.proxy.after(command, reply) if self.proxy.after else None
        await self.proxy.flowing.wait()
        try:
            passed = await self.write(self.writer, reply if size is None else reply[:size])
        except OSError:  # the client has gone, which Redis is to hear of no sooner than the rest
            await self.proxy.parting.wait()
            return False
        return passed and size is None

    async def write(self, writer, data):
        if self.proxy.pause is None:
            writer.write(data)
            await writer.drain()
            return True
        for byte in data:
            writer.write(bytes([byte]))
            await writer.drain()
            await asyncio.sleep(self.proxy.pause or 0)
        return True


class Proxy:
    """See above. `socket` is where clients connect, `upstream` the path of the redis-server's own socket."""

    def __init__(self, path, upstream, before=None, after=None):
        self.socket, self.upstream = str(path), str(upstream)
        self.before, self.after = before, after
        self.count = 0
        self.errors = []
        self.pause = None
        self.connections = set()
        self.flowing = self.parting = None
        self.loop = asyncio.new_event_loop()
        self.thread = threading.Thread(target=self.loop.run_forever, daemon=True)

    @property
    def url(self):
        return f"unix://{self.socket}"

    def start(self):
        self.thread.start()
        asyncio.run_coroutine_threadsafe(self.listen(), self.loop).result()
        return self

    async def listen(self):
        self.flowing, self.parting = asyncio.Event(), asyncio.Event()
        self.flowing.set()
        self.parting.set()
        self.server = await asyncio.start_unix_server(self.serve, self.socket, limit=CHUNK)

    async def serve(self, reader, writer):
        connection = Connection(self, reader, writer)
        self.connections.add(connection)
        try:
            await connection.run()
        finally:
            self.connections.discard(connection)

    def stop(self):
        asyncio.run_coroutine_threadsafe(self.finish(), self.loop).result()
        self.loop.call_soon_threadsafe(self.loop.stop)
        self.thread.join()
        self.loop.close()
        if self.errors:
            raise self.errors[0]

    async def finish(self):
        self.server.close()
        with contextlib.suppress(FileNotFoundError):  # later versions of Python have removed it already
            os.unlink(self.socket)
        self.flowing.set()
        serving = asyncio.all_tasks() - {asyncio.current_task()}
        for task in serving:
            task.cancel()
        await asyncio.gather(*serving, return_exceptions=True)

    def call(self, function):
        """Runs a function in the proxy's thread and waits for it."""
        async def run():
            function()

        if threading.current_thread() is self.thread:
            function()
        else:
            asyncio.run_coroutine_threadsafe(run(), self.loop).result()

    def hold(self):
        self.call(self.flowing.clear)

    def go_on(self):
        self.call(self.flowing.set)

    def linger(self):
        self.call(self.parting.clear)

    def part(self):
        self.call(self.parting.set)

    def drip(self, seconds):
        self.pause = seconds

    def cut(self):
        self.call(lambda: [connection.close() for connection in self.connections])
