"""The proxy that other tests put between weftd and Redis does what they rely on."""

import os
import socket
import threading

import pytest
import redis as redis_py

from proxy import CUT, Proxy, find_end
from weft import PATIENCE, connect, wait_for


@pytest.fixture
def proxy(redis, tmp_path):
    proxy = Proxy(tmp_path / "proxy.sock", redis.socket).start()
    yield proxy
    proxy.stop()


def dial(proxy):
    """A connection without any client's help."""
    raw = socket.socket(socket.AF_UNIX)
    raw.settimeout(PATIENCE)
    raw.connect(proxy.socket)
    return raw


@pytest.fixture
def raw(proxy):
    with dial(proxy) as raw:
        yield raw


def read_to_end(raw):
    """What arrives until the connection ends."""
    return b"".join(iter(lambda: raw.recv(4096), b""))


@pytest.mark.parametrize("value", [
    b"+OK\r\n", b"-ERR no\r\n", b":12\r\n", b"$-1\r\n", b"$0\r\n\r\n", b"$4\r\na\r\nb\r\n", b"*-1\r\n", b"*0\r\n",
    b"*2\r\n*1\r\n$1\r\na\r\n*2\r\n:1\r\n$-1\r\n"])
def test_a_value_ends_where_it_ends_and_not_before(value):
    assert find_end(value + b"+more\r\n") == len(value)
    assert [find_end(value[:size]) for size in range(len(value))] == [None] * len(value)


def test_commands_of_all_connections_are_counted_and_their_processes_known(proxy):
    seen = []
    proxy.before = lambda command: seen.append((command.number, command.name, command.words[1:], command.pid))
    first, second = connect(proxy.socket), connect(proxy.socket)
    first.set("key", "value\r\n")
    assert second.get("key") == "value\r\n"
    pid = os.getpid()
    assert seen == [(1, "SET", [b"key", b"value\r\n"], pid), (2, "GET", [b"key"], pid)]


def test_a_pipeline_is_taken_apart(proxy):
    names = []
    proxy.after = lambda command, reply: names.append((command.name, reply))
    pipeline = connect(proxy.socket).pipeline(transaction=False)
    pipeline.set("key", "x" * 200000).get("key").strlen("key")
    assert pipeline.execute() == [True, "x" * 200000, 200000]
    assert [name for name, _ in names] == ["SET", "GET", "STRLEN"]
    assert names[2][1] == b":200000\r\n"


def test_a_command_that_is_cut_before_is_not_executed_and_one_cut_after_is(proxy, redis):
    proxy.before = lambda command: CUT if command.words[1] == b"before" else None
    proxy.after = lambda command, reply: 0
    for key in (b"before", b"after"):
        with dial(proxy) as raw:
            raw.sendall(b"*3\r\n$3\r\nSET\r\n$%d\r\n%s\r\n$1\r\nx\r\n" % (len(key), key))
            assert read_to_end(raw) == b""
    assert redis.client.mget("before", "after") == [None, "x"]


def test_a_reply_is_cut_after_so_many_bytes(proxy, raw):
    proxy.after = lambda command, reply: 5
    raw.sendall(b"*2\r\n$4\r\nECHO\r\n$5\r\nhello\r\n")
    assert read_to_end(raw) == b"$5\r\nh"


def test_held_bytes_go_on_later(proxy, raw):
    proxy.hold()
    raw.sendall(b"*1\r\n$4\r\nPING\r\n")
    raw.settimeout(0.1)
    with pytest.raises(socket.timeout):
        raw.recv(1)
    raw.settimeout(PATIENCE)
    proxy.go_on()
    assert raw.recv(100) == b"+PONG\r\n"


def test_bytes_that_drip_arrive_whole(proxy):
    proxy.drip(0)
    client = connect(proxy.socket)
    client.set("key", "value")
    assert client.get("key") == "value"


def test_all_connections_are_cut_and_new_ones_are_served(proxy, raw):
    waiting = threading.Thread(target=read_to_end, args=[raw])
    raw.sendall(b"*3\r\n$5\r\nBLPOP\r\n$4\r\nnone\r\n$1\r\n0\r\n")
    waiting.start()
    wait_for(lambda: proxy.count == 1, "the command is forwarded")
    proxy.cut()
    waiting.join(PATIENCE)
    assert not waiting.is_alive()
    assert connect(proxy.socket).ping()


def test_redis_may_hear_later_that_a_client_has_gone(proxy, redis):
    raw = dial(proxy)
    raw.sendall(b"*3\r\n$5\r\nBLPOP\r\n$4\r\nlist\r\n$1\r\n0\r\n")
    wait_for(lambda: redis.client.info("clients")["blocked_clients"] == 1, "the command waits in Redis")
    clients = redis.client.info("clients")["connected_clients"]
    proxy.linger()
    raw.close()
    redis.client.rpush("list", "for nobody")
    assert redis.client.llen("list") == 0
    assert redis.client.info("clients")["connected_clients"] == clients
    proxy.part()
    wait_for(lambda: redis.client.info("clients")["connected_clients"] == clients - 1, "the connection ends")


def test_a_redis_that_is_away_ends_connections(proxy, redis):
    redis.stop()
    with pytest.raises(redis_py.exceptions.ConnectionError):
        connect(proxy.socket).ping()
    redis.start()
    assert connect(proxy.socket).ping()


def test_what_a_hook_raises_is_not_lost(redis, tmp_path):
    def refuse(_):
        raise ValueError("not this one")

    proxy = Proxy(tmp_path / "p.sock", redis.socket, before=refuse).start()
    with pytest.raises(redis_py.exceptions.ConnectionError):
        connect(proxy.socket).ping()
    with pytest.raises(ValueError, match="not this one"):
        proxy.stop()
