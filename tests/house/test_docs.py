"""The man pages say all there is, and nothing that is not: keys with their defaults and bounds, functions, options, commands."""

import os
import re
import shutil
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
MAN = ROOT / "docs" / "man"
PAGES = sorted(path.name for path in MAN.glob("*.[0-9]"))
WIDTH = 80

CHARACTERS = {r"\-": "-", r"\e": "\\", r"\(aq": "'", r"\[aq]": "'", r"\(dq": '"', r"\(ti": "~", r"\&": "", r"\|": ""}


def text(path):
    return (ROOT / path).read_text(encoding="utf-8")


def words_of(line):
    """The words of a page's line as they are read: those of `.BR one two` make one word, those of `.B one two` do not."""
    macro = re.match(r"\.([A-Z]+) ?(.*)", line)
    words = line
    if macro:
        arguments = re.findall(r'"([^"]*)"|(\S+)', macro[2])
        words = ("" if re.fullmatch("[BIR]{2}", macro[1]) else " ").join(quoted or bare for quoted, bare in arguments)
    words = re.sub(r"\\f(\[\w*\]|\w)", "", words)
    for escape, character in CHARACTERS.items():
        words = words.replace(escape, character)
    return words


def read(page):
    """The page without its markup, line by line."""
    return "\n".join(words_of(line) for line in text(MAN / page).splitlines())


def key_entries():
    """What the tagged paragraphs of weft.yaml(5) say of the keys, by their tags."""
    source = text(MAN / "weft.yaml.5")
    source = source[source.index("\n.SH KEYS\n"):source.index("\n.SH FILES\n")]
    found, tags, tagged = {}, [], False
    for line in source.splitlines():
        if line == ".TP" or line.startswith((".SH", ".SS")):
            tags, tagged = [], line == ".TP"
        elif line == ".TQ":
            tagged = True
        elif tagged:
            tags, tagged = tags + [words_of(line)], False
            found[tags[-1]] = ""
        else:
            for tag in tags:
                found[tag] += words_of(line) + " "
    return found


def assert_none(missing):
    assert not missing, "\n" + "\n".join(missing)


def mentions(page_text, word):
    return re.search(rf"(?<![\w-]){re.escape(word)}(?![\w-])", page_text) is not None


# ---- The table of keys ----

SHAPES = r'"(\w+)", (CONFIG_UNSUPPORTED|\w+)(?:\((\w+))?'


def expanded_table():
    """daemon/config/table.c with its macros for whole keys filled in."""
    table = text("daemon/config/table.c").replace("\\\n", " ")
    for name, meaning in re.findall(r'^#define (\w+)\s+("\w+", .*)$', table, re.MULTILINE):
        table = re.sub(rf"\{{{name}\b", lambda _, meaning=meaning: "{" + meaning, table)
    return table


def rows_of(table, section):
    keys, = re.findall(rf"config_section {section} = \{{\s*\.keys = (\w+)", table)
    block, = re.findall(rf"config_key {keys}\[\] = \{{(.*?)\{{0\}}", table, re.DOTALL)
    return re.split(r"\{(?=\")", block)[1:]


def keys_of(table, section="config_table", prefix=""):
    """Pairs of a key's path, as the page spells it, and its row."""
    for row in rows_of(table, section):
        name, shape, argument = re.match(SHAPES, row).groups()
        yield prefix + name, row
        if shape in ("SECTION", "MAPS", "NAMED_MAPS"):
            inner = prefix + name + (".TYPE." if shape == "NAMED_MAPS" else ".")
            yield from keys_of(table, argument, inner)


def has_value(path, row):
    """Whether the page has a paragraph for the key; a section at the top is a heading there."""
    return "." in path or not re.match(r'"\w+", (SECTION|MAPS|NAMED_MAPS)\(', row)


def unsaid(path, row, said):
    """What the table has of a key, and the page has not."""
    default = re.search(r'\.fallback = "([^"]*)"', row)
    bounds = re.search(r'BETWEEN\("([^"]*)", "([^"]*)"\)', row)
    length = re.search(r'\.max = "([^"]*)"', row)
    wanted = [default[1]] if default else []
    wanted += bounds.groups() if bounds and "SCALARS(" not in row else []
    wanted += [length[1]] if length else []
    wanted += ["Not supported"] if "CONFIG_UNSUPPORTED" in row else []
    wanted += ["Required"] if ".required = true" in row else []
    return [f"{path}: {word}" for word in wanted if not mentions(said, word)]


def test_weft_yaml_names_exactly_the_keys_of_the_table():
    table = dict(keys_of(expanded_table()))
    headings = set(re.findall(r"^\.SS (\w+):", text(MAN / "weft.yaml.5"), re.MULTILINE))
    assert set(key_entries()) == {path for path, row in table.items() if has_value(path, row)}
    assert headings >= {path for path, row in table.items() if not has_value(path, row)}


def test_weft_yaml_says_the_default_and_the_bounds_of_each_key():
    said = key_entries()
    assert_none([missing for path, row in keys_of(expanded_table()) if has_value(path, row)
                 for missing in unsaid(path, row, said.get(path, ""))])


# ---- Functions, options, commands ----

def public_headers():
    return "\n".join(text(header) for folder in ("context", "handlers") for header in (ROOT / folder).glob("include/weft/*.h"))


def functions_of(headers):
    return set(re.findall(r"^WEFT_API [^;(]*?(\w+)\(", headers, re.MULTILINE))


def public_functions():
    return functions_of(public_headers())


def test_every_public_function_is_in_a_page_of_section_3():
    functions = public_functions()
    pages = "\n".join(read(page) for page in PAGES if page.endswith(".3"))
    prototypes = set(re.findall(r"(\w+)\(", pages))
    assert len(functions) > 40
    assert_none(sorted(functions - prototypes))
    known = set(re.findall(r"\w+", public_headers()))
    assert_none(sorted(name for name in prototypes if name.lower().startswith("weft_") and name not in known))


def test_of_each_function_for_jobs_and_tasks_the_page_says_whether_blocking_code_may_call_it():
    functions = functions_of(text("handlers/include/weft/weft.h") + text("context/include/weft/task.h"))
    section = read("weft-handler.3").split("\nHandlers that block\n")[-1].split("\nChild jobs\n")[0]
    assert_none(sorted(functions - set(re.findall(r"(\w+)\(", section))))


def test_every_option_of_weftd_is_in_its_page():
    options = re.findall(r'\{"(\w+)", \w+_argument', text("daemon/main.c"))
    page = read("weftd.8")
    assert {"config", "check", "version", "help"} <= set(options)
    assert_none([f"--{option}" for option in options if f"--{option}" not in page])


def test_every_command_of_weft_and_every_option_is_in_its_page():
    source = "\n".join(text(path) for path in sorted((ROOT / "daemon" / "cli").glob("*.c")))
    commands = re.findall(r'^    \{"(\w+)", "(?:(?!^    \{").)*?\.run = \w+_run', text("daemon/cli/commands.c"), re.MULTILINE | re.DOTALL)
    options = re.findall(r"\{(?:'\w'|0), \"([\w-]+)\"", source)
    page = read("weft.1")
    assert {"enqueue", "logs", "status", "queues", "dead", "retry"} <= set(commands)
    assert_none([command for command in commands if not re.search(rf"weft (dead )?\W*{command}\b", page)])
    assert_none([f"--{option}" for option in options if f"--{option}" not in page])


@pytest.mark.parametrize("page, source", [("weftd.8", "daemon/main.c"), ("weft.1", "daemon/cli/commands.c")])
def test_help_names_the_exit_statuses_of_the_page(page, source):
    section = read(page).split("EXIT STATUS\n")[1].split("\nENVIRONMENT\n")[0]
    statuses = re.findall(r"^(\d+)$", section, re.MULTILINE)
    said = re.search(r'Exit status: (.*?)\)?;', text(source), re.DOTALL)[1]
    assert len(statuses) >= 6
    assert re.findall(r"\b\d+\b", said) == statuses


# ---- The pages themselves ----

def test_every_page_is_installed():
    assert_none([page for page in PAGES if page not in text("docs/CMakeLists.txt")])


def test_pages_are_of_the_version_that_is_built():
    version = re.search(r"project\(weft VERSION (\S+)", text("CMakeLists.txt"))[1]
    assert_none([page for page in PAGES if f'"weft {version}"' not in text(MAN / page).splitlines()[0]])


@pytest.mark.skipif(not shutil.which("man"), reason="there is no man here")
@pytest.mark.parametrize("page", PAGES)
def test_man_has_nothing_to_complain_of_and_lines_fit(page):
    environment = os.environ | {"LC_ALL": "C.UTF-8", "MANWIDTH": str(WIDTH)}
    done = subprocess.run(["man", "--warnings", "-l", MAN / page], env=environment, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")
    assert_none([line for line in done.stdout.splitlines() if len(line) > WIDTH])


# ---- The map ----

def test_the_map_is_short_and_shows_each_way_with_few_files():
    page = text("docs/ARCHITECTURE.md")
    assert [line for line in page.splitlines() if len(line) > 120] == []
    ways = re.findall(r"^## The way of a ([\w ]+)\n(.*?)(?=^## )", page, re.MULTILINE | re.DOTALL)
    assert [way for way, _ in ways] == ["message", "log line", "configuration key", "crash"]
    for way, section in ways:
        named = set(re.findall(r"`([\w/]+\.(?:c|h|lua))`", section))
        assert 8 <= len(named) <= 14, f"{way}: {sorted(named)}"
