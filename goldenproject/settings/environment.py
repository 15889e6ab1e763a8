"""Read settings from environment variables, with messages that name the variable, what was found and what is expected."""

from __future__ import annotations

import os
import re
import secrets
from pathlib import Path

from django.core.exceptions import ImproperlyConfigured

from goldenproject.database import make_data_dir

_YES = {"1", "yes", "true", "on"}
_NO = {"0", "no", "false", "off", ""}


def text(name: str, default: str) -> str:
    return os.environ.get(name, "").strip() or default


def words(name: str, default: str = "") -> list[str]:
    """Return a comma-separated list without blanks."""
    return [word.strip() for word in text(name, default).split(",") if word.strip()]


def patterns(name: str) -> list[str]:
    """Return regular expressions that blanks divide; one may begin with `!`. Raises ImproperlyConfigured."""
    found = text(name, "").split()
    for entry in found:
        try:
            re.compile(entry.removeprefix("!"))
        except re.error as error:
            raise ImproperlyConfigured(
                f"{name}: found {entry!r}, expected a regular expression ({error})."
            ) from error
    return found


def number(name: str, default: int) -> int:
    """Return a whole number ≥ 0. Raises ImproperlyConfigured."""
    value = text(name, str(default))
    if not value.isdecimal():
        raise ImproperlyConfigured(f"{name}: found {value!r}, expected a whole number such as {default}.")
    return int(value)


def flag(name: str, *, default: bool) -> bool:
    """Return yes or no. Raises ImproperlyConfigured."""
    value = text(name, "yes" if default else "no").lower()
    if value not in _YES | _NO:
        raise ImproperlyConfigured(f"{name}: found {value!r}, expected yes or no.")
    return value in _YES


def required(name: str, what: str) -> str:
    """Return a variable that has no default. Raises ImproperlyConfigured when it is missing or empty."""
    value = os.environ.get(name, "").strip()
    if not value:
        raise ImproperlyConfigured(
            f"{name} is not set; expected {what}. Set it in the environment of this process."
        )
    return value


def kept_secret(path: Path) -> str:
    """Return the secret in `path` (mode 0600), made at random the first time; two processes at once agree on one."""
    make_data_dir(path.parent)
    try:
        return path.read_text()
    except FileNotFoundError:
        pass
    fresh = path.with_name(f"{path.name}.{os.getpid()}")
    descriptor = os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(descriptor, "w") as file:
        file.write(secrets.token_urlsafe(48))
        file.flush()
        os.fsync(file.fileno())
    try:
        os.link(fresh, path)  # fails when another process was first, whose secret then counts
    except FileExistsError:
        pass
    finally:
        fresh.unlink()
    return path.read_text()
