"""Names of branches and tags, and how a version is written: NAME, HASH, HEAD, and each with ~n."""

from __future__ import annotations

import re
from dataclasses import dataclass

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._/+-]{0,199}")
_HEX = re.compile(r"[0-9a-f]{4,64}")
HEAD = "HEAD"
SHORTEST_PREFIX = 4


@dataclass(frozen=True)
class RefExpression:
    """`name~steps`: the version `name`, then `steps` times its first parent."""

    name: str
    steps: int = 0


def name_problem(name: str) -> str | None:
    """Tell in words why `name` cannot be a branch or tag, or None if it can."""
    if name.upper() == HEAD:
        return "HEAD always means the branch you are on"
    if not _NAME.fullmatch(name):
        return "use 1–200 letters, digits and . _ / + -, beginning with a letter or digit"
    if ".." in name or "//" in name or name.endswith(("/", ".", ".lock")):
        return "'..' and '//' are not allowed, nor '/', '.' or '.lock' at the end"
    if _HEX.fullmatch(name) and len(name) >= SHORTEST_PREFIX and not name.isalpha():
        return "it reads like the beginning of a commit hash"
    return None


def parse_ref(text: str) -> RefExpression | None:
    """Read `text` as a version, or return None if it is not one: HEAD~2, main, v1.0, 3f2a~1, main^."""
    text = text.strip()
    while text.endswith("^"):
        inner = parse_ref(text[:-1])
        return None if inner is None else RefExpression(inner.name, inner.steps + 1)
    name, tilde, steps = text.partition("~")
    if not name or (tilde and steps and not steps.isdigit()) or len(steps) > 9:
        return None
    return RefExpression(name, int(steps or 1) if tilde else 0)


def is_hash_prefix(text: str) -> bool:
    return _HEX.fullmatch(text) is not None
