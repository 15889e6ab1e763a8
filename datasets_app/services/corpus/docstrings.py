"""The standard library's own documentation strings as sources: real text that every Python installation carries.

A module is a source; its docstring and those of its public classes and functions are the pieces that retrieval finds.
Everything is read in the order of the alphabet, so that one version of Python always gives the same.
"""

from __future__ import annotations

import importlib
import inspect
import re
import warnings
from collections.abc import Iterator
from dataclasses import dataclass
from types import ModuleType
from typing import Any, Final

PAGE: Final = "https://docs.python.org/3/library/{module}.html"

# Modules that are quick and safe to import, have a page of this name, and no date of removal.
_MODULES: Final = """
abc argparse array ast atexit base64 bdb binascii bisect bz2 calendar cmath cmd code codecs codeop collections colorsys
compileall configparser contextlib contextvars copy copyreg csv datetime decimal difflib dis email fileinput filecmp
fnmatch fractions ftplib functools gc getopt getpass gettext glob graphlib gzip hashlib heapq hmac html imaplib
importlib inspect io ipaddress itertools json linecache locale logging lzma mailbox math mimetypes numbers operator os
pathlib pdb pickle pickletools pkgutil platform plistlib pprint pstats pyclbr queue random re reprlib runpy sched secrets
selectors shelve shutil smtplib socket socketserver statistics string struct subprocess symtable sysconfig tarfile
tempfile textwrap threading time timeit tokenize trace traceback types unicodedata uuid warnings wave weakref zipfile
zoneinfo
"""
MODULES: Final = tuple(_MODULES.split())
PIECE_CHARACTERS: Final = 1_000
_LEAST_CHARACTERS: Final = 60
_SIGNATURE: Final = re.compile(r"^[\w.]+\(.*?\)\s*(->.*)?$")


@dataclass(frozen=True)
class Documented:
    """A class, function or module with its documentation; `coverage` is 0 to 1, see `_coverage`."""

    name: str
    kind: str
    text: str
    coverage: float

    @property
    def first_line(self) -> str:
        """The first line that says something: built-in functions begin with their signature."""
        lines = [line.strip() for line in self.text.splitlines() if line.strip()]
        said = [line for line in lines if not _SIGNATURE.match(line)]
        return (said or lines)[0]


@dataclass(frozen=True)
class DocumentedModule:
    """A module's documentation, that of its public members, and how many of these have any."""

    name: str
    text: str
    members: tuple[Documented, ...]
    member_count: int

    @property
    def url(self) -> str:
        return PAGE.format(module=self.name)


def documented_modules() -> Iterator[DocumentedModule]:
    """Yield the modules of `MODULES` that this Python has and that are documented: none of them under python -OO."""
    for name in MODULES:
        with warnings.catch_warnings():
            warnings.simplefilter(
                "ignore"
            )  # what a module says of its own future is not for a reader of its text
            try:
                module = importlib.import_module(name)
            except ImportError:  # built without a library that it needs
                continue
            found = _documented(module)
        if found is not None:
            yield found


def pieces(text: str) -> list[str]:
    """Cut a text at empty lines into pieces of about `PIECE_CHARACTERS`; a longer paragraph stays whole."""
    cut: list[str] = []
    for paragraph in re.split(r"\n\s*\n", text):
        if cut and len(cut[-1]) + len(paragraph) < PIECE_CHARACTERS:
            cut[-1] += f"\n\n{paragraph}"
        elif paragraph.strip():
            cut.append(paragraph)
    return cut


def _documented(module: ModuleType) -> DocumentedModule | None:
    name = module.__name__
    text = _doc_of(module)
    public = {key: value for key, value in sorted(vars(module).items()) if _is_own(key, value, name)}
    members = [_member(f"{name}.{key}", value) for key, value in public.items()]
    told = tuple(member for member in members if len(member.text) >= _LEAST_CHARACTERS)
    if not text and not told:
        return None
    return DocumentedModule(name, text, told, len(members))


def _is_own(key: str, value: Any, module: str) -> bool:
    """Tell whether a name of a module is a public class or function of its own, maybe written in C."""
    if key.startswith("_") or not (inspect.isclass(value) or inspect.isroutine(value)):
        return False
    home = getattr(value, "__module__", None) or ""
    return home in (module, f"_{module}") and getattr(value, "__name__", key) == key


def _member(name: str, value: Any) -> Documented:
    kind = "function"
    if inspect.isclass(value):
        kind = "exception" if issubclass(value, BaseException) else "class"
    return Documented(name, kind, _doc_of(value), _coverage(value))


def _doc_of(value: Any) -> str:
    # its own, not an inherited one
    text = vars(value).get("__doc__") if isinstance(value, type | ModuleType) else value.__doc__
    return inspect.cleandoc(text).replace("\x00", "") if isinstance(text, str) else ""


def _coverage(value: Any) -> float:
    """Return how much of a thing its documentation covers.

    Of a class: the share of its own public methods that are documented. Of a function: the share of its parameters that
    its text names. 1 when there is nothing to cover or nobody can tell.
    """
    if inspect.isclass(value):
        methods = [m for key, m in vars(value).items() if not key.startswith("_") and inspect.isroutine(m)]
        return sum(bool(m.__doc__) for m in methods) / len(methods) if methods else 1.0
    try:
        names = [name for name in inspect.signature(value).parameters if name not in ("self", "cls")]
    except (ValueError, TypeError):
        return 1.0
    words = set(re.findall(r"\w+", _doc_of(value)))
    return sum(name in words for name in names) / len(names) if names else 1.0
