"""A header declares what the file of its own name defines, so that one finds a function by where it is declared."""

import importlib.machinery
import importlib.util
import re
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
PRODUCT = ("context", "queue", "handlers", "daemon")

# Functions that a room calls and a room below it defines, which it must not include.
FROM_BELOW = {"propagate_close", "propagate_global_base"}
# Headers of other libraries' functions, which the wrappers define.
OF_LIBRARIES = {"context/propagate/hiredis/redis_library.h"}


def measure():
    loader = importlib.machinery.SourceFileLoader("measure", str(Path(__file__).resolve().parent / "measure"))
    module = importlib.util.module_from_spec(importlib.util.spec_from_loader("measure", loader))
    loader.exec_module(module)
    return module


def functions_and_prototypes():
    """What is defined, by name: the files without their suffix; and what headers declare: name and header."""
    tool, defined, declared = measure(), {}, []
    for path in [path for folder in PRODUCT for path in sorted((ROOT / folder).rglob("*.[ch]"))]:
        name = str(path.relative_to(ROOT))
        for words, _, opens, _ in tool.segments_of(tool.bare(path.read_text(encoding="utf-8"))):
            function = tool.name_of_function(re.sub(r"__attribute__\s*\(\(.*?\)\)+", "", words))
            if not function or re.search(r"\b(static|typedef)\b", words):
                continue
            if opens:
                defined.setdefault(function, set()).add(str(Path(name).with_suffix("")))
            elif path.suffix == ".h":
                declared.append((function, name))
    return defined, declared


def test_a_header_declares_what_the_file_of_its_name_defines():
    defined, declared = functions_and_prototypes()
    assert len(declared) > 300
    strangers = [f"{header} declares {function}, which {' and '.join(sorted(defined[function]))}.c defines" for function, header in declared
                 if function in defined and str(Path(header).with_suffix("")) not in defined[function]
                 and "/include/weft/" not in header and function not in FROM_BELOW and header not in OF_LIBRARIES]
    assert not strangers, "\n" + "\n".join(strangers)


def test_the_exceptions_are_needed():
    defined, declared = functions_and_prototypes()
    assert FROM_BELOW <= {function for function, header in declared if str(Path(header).with_suffix("")) not in defined.get(function, ())}
    assert OF_LIBRARIES <= {header for _, header in declared}
