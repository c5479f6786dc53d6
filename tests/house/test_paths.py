"""Every file that a comment or a document names exists: what is renamed or removed is renamed or removed in the text, too."""

import re
from pathlib import Path

import pytest

from test_house import ROOT, assert_none, files, name, text

FOLDERS = "context|queue|handlers|daemon|tests|etc|docs|systemd"
SUFFIXES = "c|h|py|lua|md|yaml|cmake|txt|in|pml|js"

# Names of files that are not in this repository and are named all the same.
EXAMPLES = {
    "profile.c", "mail.c", "weftd.yaml", "etc/weft/weftd.yaml", "root/example.c",  # of readers, of tests, installed
    "hiredis.h", "setjmp.h",  # of libraries
    "daemon/cli/ping.c", "cli/ping.c", "queue/scripts/length.lua",  # of the recipes in CONTRIBUTING.md
}
DOCUMENTS = [path for path in files(".md") if path.name != "LICENSE"] + files(".1", ".3", ".5", ".8", under="docs/man")
CODE = [path for path in files(".c", ".h", ".lua", ".js", ".cmake", ".txt", ".in", ".py") + [ROOT / "tests" / "run"]
        if "corpus" not in path.parts]


def all_names():
    """The names of files, and their last two parts, with and without suffixes."""
    known = set()
    for path in files():
        parts = path.relative_to(ROOT).parts
        known |= {path.name, "/".join(parts[-2:]), "/".join(parts[-3:])}
    return known


def comments(path):
    """The comments of a source file, line by line; strings are not among them."""
    source = text(path)
    if path.suffix in (".c", ".h", ".js"):
        found = re.finditer(r"/\*.*?\*/|//[^\n]*", re.sub(r'"(?:[^"\\\n]|\\.)*"', lambda quoted: " " * len(quoted[0]), source), re.DOTALL)
    elif path.suffix == ".lua":
        found = re.finditer(r"--[^\n]*", source)
    elif path.suffix == ".py":
        found = re.finditer(r'(?m)#[^\n]*|^ *""".*?"""', source, re.DOTALL)
    else:
        found = re.finditer(r"(?m)^\s*#[^\n]*", source)
    for match in found:
        first = source.count("\n", 0, match.start()) + 1
        yield from enumerate(match[0].splitlines(), first)


def lines(path):
    return enumerate(text(path).replace("\\-", "-").splitlines(), 1) if path in DOCUMENTS else comments(path)


def exists(word, path):
    """A path from the root, or from the file that names it; a module's without its suffix; a file's name alone."""
    for start in (ROOT, path.parent, ROOT / "context", ROOT / "context" / "include", ROOT / "handlers" / "include", ROOT / "docs"):
        if (start / word).exists() or "/" in word and any((start / word).parent.glob(Path(word).name + ".*")):
            return True
    return False


def named(line):
    """What looks like a file of ours: a path that begins with one of our folders, or a name with a suffix that code has."""
    line = re.sub(r"(https?|redis|unix)://\S*|#include <[^>]*>|<[\w./-]+>", " ", line)
    for word in re.findall(r"(?<![\w/.$*{}-])([\w-]+(?:/[\w.-]+)*(?:/|\b))", line):
        word = word.rstrip(".")
        folder = re.fullmatch(rf"(?:{FOLDERS})/[\w./-]*", word)
        if "NAME" in word:
            continue
        if folder or re.fullmatch(rf"[\w/-]+\.(?:{SUFFIXES})", word):
            yield word


@pytest.mark.parametrize("group", ["documents", "comments"])
def test_every_file_that_is_named_exists(group):
    known = all_names() | EXAMPLES
    missing = [f"{name(path)}:{number}: {word}" for path in (DOCUMENTS if group == "documents" else CODE)
               for number, line in lines(path) for word in named(line) if word not in known and not exists(word, path)]
    assert_none(missing)


def test_every_link_of_a_document_leads_to_a_file():
    links = [(path, link) for path in files(".md") for link in re.findall(r"\]\(([^)#\s]+)[^)]*\)", text(path))]
    assert_none([f"{name(path)}: {link}" for path, link in links if ":" not in link and not (path.parent / link).exists()])


def test_every_example_is_named_somewhere():
    everything = "\n".join(text(path) for path in DOCUMENTS + CODE if path.name != "test_paths.py")
    assert_none([word for word in EXAMPLES if word not in everything])
