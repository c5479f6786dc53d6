"""The context library by itself, as it is installed: found by pkg-config, built with cc, and nothing else."""

import os
import re
import socket
import subprocess
from concurrent.futures import ThreadPoolExecutor
from http.client import HTTPConnection

import pytest

from weft import PATIENCE, ROOT, SANITIZED, run, wait_for

pytestmark = pytest.mark.skipif(SANITIZED, reason="a program of a user's is not built with the sanitizers of the library")

EXAMPLE = ROOT / "tests" / "standalone" / "http_server.c"
READS_ONE_VALUE = "#include <weft/context.h>\nint main(void) { return weft_get(\"name\") != NULL; }\n"
REQUESTS = 60


@pytest.fixture
def build(tmp_path, installed):
    """Compiles C source with what pkg-config says, and with libraries before and after that."""
    package, = installed.rglob("weft-context.pc")
    found = run("pkg-config", "--cflags", "--libs", "weft-context", env=os.environ | {"PKG_CONFIG_PATH": str(package.parent)})
    assert found.returncode == 0, found.stderr

    def compile_program(source, before=(), after=()):
        (tmp_path / "program.c").write_text(source)
        done = run("cc", "-Wall", "-Wextra", tmp_path / "program.c", *before, *found.stdout.split(), *after, "-o",
                   tmp_path / "program")
        assert (done.returncode, done.stderr) == (0, "")
        return tmp_path / "program"

    return compile_program


def functions_of(path, *options):
    return set(re.findall(r" T (\w+)$", run("nm", *options, path).stdout, re.MULTILINE))


@pytest.mark.parametrize("order", [{"before": ["-levent"]}, {"after": ["-levent"]}], ids=["libevent first", "libevent last"])
def test_a_program_that_only_reads_a_value_has_every_wrapper(build, order):
    program = build(READS_ONE_VALUE, **order)
    libevent, = re.findall(r"(/\S*libevent-2\S*) \(", run("ldd", program).stdout) or [None]
    if not libevent:  # the linker leaves out what is not needed
        order = {side: ["-Wl,--no-as-needed", *flags] for side, flags in order.items()}
        program = build(READS_ONE_VALUE, **order)
        libevent, = re.findall(r"(/\S*libevent-2\S*) \(", run("ldd", program).stdout)
    ours = {line.split("(")[0].split()[-1].lstrip("*")
            for source in (ROOT / "context" / "propagate").rglob("*.c")
            for line in re.findall(r"^PROPAGATE_EXPORT [^(]*\(", source.read_text(), re.MULTILINE)}
    wrapped = ours & functions_of(libevent, "-D")
    assert len(wrapped) > 40
    assert wrapped <= functions_of(program, "-D")


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


@pytest.fixture
def server(build, tmp_path):
    """The example's port, and what it logs."""
    program, port, log = build(EXAMPLE.read_text(), after=["-levent"]), free_port(), tmp_path / "log"
    with log.open("w") as stderr:
        process = subprocess.Popen([program, str(port)], stderr=stderr)
    try:
        wait_for(lambda: "listening" in log.read_text(), "the server to listen")
        yield port, log
    finally:
        process.kill()
        process.wait()


def ask(port, number):
    connection = HTTPConnection("127.0.0.1", port, timeout=PATIENCE)
    connection.request("GET", f"/{number}")
    answer = connection.getresponse().read().decode()
    connection.close()
    return re.fullmatch(r"you are (req-\d+)\n", answer)[1]


def test_the_lines_of_a_plain_libevent_server_carry_their_requests_ids(server):
    port, log = server
    with ThreadPoolExecutor(max_workers=20) as pool:
        answers = list(pool.map(lambda number: (number, ask(port, number)), range(REQUESTS)))
    ids = {request: number for number, request in answers}
    assert set(ids) == {f"req-{number}" for number in range(1, REQUESTS + 1)}
    lines = [line.split(" ", 1)[1].split(maxsplit=2) for line in log.read_text().splitlines()]
    assert [words[2] for words in lines if words[1] == "-"] == ["listening"]
    for request, number in ids.items():
        assert [words[2] for words in lines if words[1] == request] == [f"looking up /{number}", "answering"]
    assert len(lines) == 1 + 2 * REQUESTS
