"""The words of docs/GLOSSARY.md are used, and those that they replaced are gone: from identifiers and from the names of files."""

import re
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
FOLDERS = ("context", "queue", "handlers", "daemon", "tests/unit", "tests/support", "tests/fuzz")

# Words that are gone wherever they are a part of an identifier.
GONE = {"keeper", "census", "roster", "autopsy", "witness", "crew", "worn"}
# Modules and variables: these words alone, or with what follows an underscore.
GONE_MODULES = {"lane", "lanes", "loss", "arrival", "arrivals", "intake", "remainder", "trouble", "refusal", "refusals", "pursuit", "sight", "followed",
                "registration", "greeting", "pack", "autopsy", "later"}
# Records; the words are plain English elsewhere.
GONE_RECORDS = {"words", "share", "notice", "living", "child", "watch", "card", "origin", "reclaim", "unblock", "told"}
GONE_FILES = GONE | GONE_MODULES - {"greeting"} | GONE_RECORDS | {"reading", "card_read", "strike"}
# Not weft's records: what a user's process starts, and what a test has been told.
OTHERS = {"context/propagate/libc": {"child"}, "tests/support": {"told"}, "tests/unit": {"told", "lane"},
          "handlers/examples": {"later"}}

ASIDE = re.compile(r'/\*.*?\*/|//[^\n]*|"(?:\\.|[^"\\\n])*"|\'(?:\\.|[^\'\\\n])*\'', re.DOTALL)


def sources():
    return [path for folder in FOLDERS for path in sorted((ROOT / folder).rglob("*.[ch]"))]


def old_words(path):
    """Identifiers of a file that have an old word in them."""
    code = ASIDE.sub(" ", path.read_text(encoding="utf-8", errors="replace"))
    others = OTHERS.get(str(path.parent.relative_to(ROOT)), set())
    for identifier in set(re.findall(r"\b[A-Za-z_]\w*", code)):
        parts = identifier.lower().split("_")
        if set(parts) & GONE or (parts[0] in GONE_MODULES - others and (len(parts) < 4 or parts[0] not in {"lane", "later"})):
            yield identifier
    for record in set(re.findall(r"\bstruct (\w+)", code)) & (GONE_RECORDS - others):
        yield f"struct {record}"


def test_identifiers_have_none_of_the_old_words():
    found = [f"{path.relative_to(ROOT)}: {identifier}" for path in sources() for identifier in sorted(old_words(path))]
    assert not found, "\n" + "\n".join(found)


def test_what_is_ours_in_the_queue_has_no_name_like_those_of_hiredis():
    """But Redis's state is an event's name, which receivers in daemon/ share, and its clock is in redis_ms."""
    names = re.compile(r"\b(?:struct redis|enum redis_\w+|REDIS_(?!OK|ERR|REPLY_)\w+|redis_(?!state\b|ms\b)\w+)\b")
    found = [f"{path.relative_to(ROOT)}: {name}" for path in sources() if path.is_relative_to(ROOT / "queue")
             for name in sorted(set(names.findall(ASIDE.sub(" ", path.read_text(encoding="utf-8")))))]
    assert not found, "\n" + "\n".join(found)


def test_files_have_none_of_the_old_words_for_a_name():
    names = [path for path in sources() if re.sub("^test_(queue_)?", "", path.stem) in GONE_FILES]
    found = [str(path.relative_to(ROOT)) for path in names if path.stem not in OTHERS.get(str(path.parent.relative_to(ROOT)), set())]
    assert not found, "\n" + "\n".join(found)


def test_the_glossary_is_in_order_and_says_each_word_once():
    rows = re.findall(r"^\| \*\*(.+?)\*\* \|", (ROOT / "docs" / "GLOSSARY.md").read_text(encoding="utf-8"), re.MULTILINE)
    assert rows == sorted(set(rows), key=str.lower)
    assert len(rows) > 30
