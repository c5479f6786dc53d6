"""The rules of the house, as docs/ARCHITECTURE.md has them: who may include whom, and what grows where."""

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]

TOP_LEVEL = {
    "daemon", "queue", "handlers", "context", "etc", "systemd", "tests", "docs", ".ci", "CMakeLists.txt", "README.md",
    "CONTRIBUTING.md", "CHANGELOG.md",
    "LICENSE", "CMakePresets.json", ".clang-format", ".editorconfig", ".gitignore",
}
NOT_OURS = {".git", "build"}

# Which of our folders, and which libraries beside libc, the code of a room may include: a name that ends in a slash means
# the rooms below it, too. Every folder that has code in it is here. docs/ARCHITECTURE.md says what each is for.
SUPERVISOR = {"daemon", "daemon/config", "daemon/crash", "daemon/log", "daemon/metrics", "daemon/scoreboard", "daemon/supervisor",
              "queue", "queue/maintenance", "queue/message", "queue/settle", "context/"}
WORKER = {"daemon", "daemon/config", "daemon/crash", "daemon/log", "daemon/metrics", "daemon/scoreboard", "daemon/worker",
          "handlers", "queue", "queue/consumer", "queue/message", "queue/settle", "context/"}
DAEMON = {"libevent", "hiredis", "yaml", "jansson", "libdw", "libsystemd"}
MAY_INCLUDE = {
    "context": ({"context", "context/async", "context/propagate"}, {"libevent"}),
    "context/include/weft": ({"context"}, {"libevent", "libcurl"}),  # but see ADAPTERS
    "context/async": ({"context", "context/async"}, {"libevent"}),
    "context/log": ({"context", "context/log"}, set()),
    "context/propagate": ({"context", "context/async", "context/task", "context/propagate"}, {"libevent"}),
    "context/propagate/hiredis": ({"context", "context/async", "context/task", "context/propagate", "context/propagate/hiredis"}, {"libevent"}),
    "context/propagate/libc": ({"context", "context/async", "context/task", "context/propagate", "context/propagate/libc"}, {"libevent"}),
    "context/propagate/libevent": ({"context", "context/async", "context/task", "context/propagate", "context/propagate/libevent"}, {"libevent"}),
    "context/task": ({"context", "context/async", "context/propagate", "context/task"}, {"libevent"}),
    "queue": ({"queue", "queue/redis", "context/"}, {"libevent", "hiredis"}),
    "queue/consumer": ({"queue", "queue/consumer", "queue/message", "queue/redis", "queue/settle", "queue/scripts", "context/"}, {"libevent", "hiredis"}),
    "queue/maintenance": ({"queue", "queue/maintenance", "queue/message", "queue/redis", "queue/settle", "queue/scripts", "context/"}, {"libevent", "hiredis"}),
    "queue/message": ({"queue/message", "context/"}, set()),
    "queue/redis": ({"queue", "queue/redis", "queue/scripts", "context/"}, {"libevent", "hiredis"}),
    "queue/scripts": ({"queue/scripts"}, set()),
    "queue/settle": ({"queue", "queue/message", "queue/redis", "queue/settle", "queue/scripts", "context/"}, {"libevent", "hiredis"}),
    "handlers": ({"handlers", "context/"}, {"libevent"}),
    "handlers/examples": ({"handlers", "handlers/examples", "context"}, {"libevent"}),
    "handlers/include/weft": ({"handlers", "context"}, set()),
    "daemon": (SUPERVISOR | WORKER, DAEMON),
    "daemon/cli": ({"daemon/cli", "daemon/config", "daemon", "queue", "queue/consumer", "queue/message", "queue/redis", "queue/scripts", "queue/settle",
                    "context/"}, DAEMON),
    "daemon/config": ({"daemon/config", "queue", "queue/message", "context/"}, DAEMON),
    "daemon/crash": ({"daemon", "daemon/crash", "context/"}, DAEMON),
    "daemon/log": ({"daemon", "daemon/config", "daemon/log", "daemon/metrics", "daemon/scoreboard", "context/"}, DAEMON),
    "daemon/metrics": ({"daemon/config", "daemon/metrics", "daemon/scoreboard", "context/"}, DAEMON),
    "daemon/scoreboard": ({"daemon/config", "daemon/crash", "daemon/metrics", "daemon/scoreboard", "handlers", "queue", "context/"}, DAEMON),
    "daemon/supervisor": (SUPERVISOR, DAEMON),
    "daemon/worker": (WORKER, DAEMON),
}
# What breaks the table for a reason.
EXCEPTIONS = {
    ("daemon/supervisor/crash_report.c", "handlers/retry.h"): "when the next attempt is due is arithmetic, and runs no job",
}
LIBRARIES = {"event2": "libevent", "hiredis": "hiredis", "yaml.h": "yaml", "jansson.h": "jansson", "cmocka.h": "cmocka",
             "curl": "libcurl", "systemd": "libsystemd", "elfutils": "libdw"}
PACKAGES = {"libevent_core", "libevent", "libevent_extra", "libevent_pthreads", "hiredis", "yaml-0.1", "jansson", "cmocka", "libsystemd", "libdw"}

# Public headers that are for code which is linked with a library that weft is not.
ADAPTERS = {"context/include/weft/curl.h"}

REGISTRIES = ("deb debian", "security debian", "ftp debian", "snapshot debian", "archive ubuntu", "pypi org", "pythonhosted org",
              "npmjs org", "npmjs com", "crates io", "proxy golang", "rubygems org", "maven org")


def files(*suffixes, under="."):
    """All files of the project, or those with one of the suffixes."""
    found = []
    for path in sorted((ROOT / under).rglob("*")):
        inside = path.relative_to(ROOT)
        if inside.parts[0] in NOT_OURS or "__pycache__" in inside.parts or not path.is_file():
            continue
        if not suffixes or path.suffix in suffixes:
            found.append(path)
    return found


def name(path):
    return str(path.relative_to(ROOT))


def text(path):
    return path.read_text(encoding="utf-8", errors="replace")


def places(pattern, paths):
    """FILE:LINE of each line that has the pattern in it."""
    return [f"{name(path)}:{number}: {line.strip()}" for path in paths
            for number, line in enumerate(text(path).splitlines(), 1) if re.search(pattern, line)]


def assert_none(found):
    assert not found, "\n" + "\n".join(found)


def includes(path):
    """Pairs of (bracket, included path)."""
    return re.findall(r'^\s*#\s*include\s*([<"])([^>"]+)[>"]', text(path), re.MULTILINE)


def public_headers():
    return files(".h", under="context/include") + files(".h", under="handlers/include")


def home_of_public_header(included):
    """The folder that a <weft/...> header belongs to."""
    return next((path.relative_to(ROOT).parts[0] for path in public_headers() if name(path).endswith("include/" + included)),
                None)


def is_in(folder, folders):
    return any(folder == allowed or (allowed.endswith("/") and f"{folder}/".startswith(allowed)) for allowed in folders)


def breaches(path, folders, libraries):
    """What `path` includes and must not."""
    for bracket, included in includes(path):
        first = included.split("/")[0]
        if bracket == '"':
            allowed = is_in(str(Path(included).parent), folders) or (name(path), included) in EXCEPTIONS
        elif first == "weft":
            allowed = is_in(home_of_public_header(included), folders)
        else:
            allowed = first not in LIBRARIES or LIBRARIES[first] in libraries
        if not allowed:
            yield f"{name(path)} includes {included}"


def code_of(room):
    """The C files of a room, without those of the rooms below it."""
    return [path for path in files(".c", ".h", under=room) if path.parent == ROOT / room]


def test_nothing_else_grows_at_the_top_level():
    assert_none({path.name for path in ROOT.iterdir()} - NOT_OURS - TOP_LEVEL)


@pytest.mark.parametrize("room", MAY_INCLUDE)
def test_a_room_includes_only_what_the_table_allows(room):
    folders, libraries = MAY_INCLUDE[room]
    assert code_of(room)
    assert_none([breach for path in code_of(room) for breach in breaches(path, folders, libraries)])


def test_every_room_is_in_the_table():
    rooms = {str(path.parent.relative_to(ROOT)) for top in ("context", "queue", "handlers", "daemon") for path in files(".c", ".h", under=top)}
    assert_none(sorted(rooms - set(MAY_INCLUDE)))


def test_only_main_knows_both_the_supervisor_and_the_worker():
    sides = {"daemon/supervisor", "daemon/worker"}
    assert_none([f"{name(path)} includes {included}" for path in code_of("daemon") if path.name != "main.c"
                 for bracket, included in includes(path) if bracket == '"' and str(Path(included).parent) in sides])


def test_exceptions_are_still_needed():
    assert_none([f"{path} does not include {included}" for path, included in EXCEPTIONS if ('"', included) not in includes(ROOT / path)])


def test_the_architecture_page_names_every_room():
    page = text(ROOT / "docs" / "ARCHITECTURE.md")
    assert_none([room for room in MAY_INCLUDE if "/include/" not in room and f"`{room}/`" not in page])


def test_public_headers_include_only_public_headers_and_libc():
    assert_none([f"{name(path)} includes {included}" for path in public_headers() for bracket, included in includes(path)
                 if bracket == '"' or (included.split("/")[0] in LIBRARIES and name(path) not in ADAPTERS)])


def test_the_build_asks_for_no_library_that_these_rules_do_not_know():
    asked = {re.split("[<>=]", word)[0] for path in files(".txt", ".cmake")
             for words in re.findall(r"pkg_check_modules\(\w+([^)]*)\)", text(path))
             for word in words.split() if word not in ("REQUIRED", "IMPORTED_TARGET", "QUIET")}
    assert_none(asked - PACKAGES)


def test_main_is_only_in_the_daemon_and_in_tests():
    elsewhere = [path for path in files(".c") if path.relative_to(ROOT).parts[0] not in ("daemon", "tests")]
    assert_none(places(r"^\s*(static\s+)?int\s+main\s*\(", elsewhere))


def test_locks_are_taken_where_no_thread_can_be_cancelled():
    ours = [path for top in ("context", "queue", "handlers", "daemon") for path in files(".c", ".h", under=top)
            if name(path) != "context/lock.h" and path not in public_headers()]
    assert_none(places(r"pthread_(mutex_(un)?lock|mutex_\w*trylock|rwlock|spin)", ours))


def test_every_header_begins_with_pragma_once():
    assert_none([name(path) for path in files(".h") if "#pragma once\n" not in text(path)])


@pytest.mark.parametrize("header", map(name, public_headers()))
def test_every_public_function_has_a_comment(header):
    """Its own, or that of the group of prototypes, without a blank line between, that it stands in."""
    bare = []
    for paragraph in re.split(r"\n\s*\n", text(ROOT / header)):
        prototypes = [line for line in paragraph.splitlines() if line.startswith("WEFT_API")]
        if "/*" not in paragraph.split("WEFT_API")[0]:
            bare += [line for line in prototypes if "/*" not in line]
    assert_none(bare)


def test_the_architecture_page_names_every_folder():
    page = text(ROOT / "docs" / "ARCHITECTURE.md")
    folders = {path.relative_to(ROOT).parts[0] for path in files() if path.parent != ROOT}
    assert_none([folder for folder in folders if f"`{folder}/" not in page])


def test_nothing_is_left_unfinished():
    unfinished = "|".join(["TO" + "DO", "FIX" + "ME", "XX" + "X"])
    assert_none(places(rf"\b({unfinished})\b", files()))


def test_no_package_registry_is_named():
    hosts = "|".join(re.escape(".".join(words.split())) for words in REGISTRIES)
    assert_none(places(hosts, files()))
