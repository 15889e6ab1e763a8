"""The URL contract as this installation has configured it."""

from __future__ import annotations

import hashlib
import json
import re
from functools import lru_cache

from django.conf import settings

from datasets_app.domain.url_contract import DEFAULT_PATTERNS, UrlRules, canonical_url, violation

_RULES_VERSION = 1  # raise it when the contract itself changes, so that verify looks at every URL again


def url_rules() -> UrlRules:
    """Return the default patterns, those of GOLDEN_URL_PLACEHOLDERS, and the addresses of this site itself.

    An entry that begins with `!` takes the default pattern of that text away.
    """
    return _rules(tuple(settings.GOLDEN_URL_PLACEHOLDERS), tuple(settings.ALLOWED_HOSTS))


def contract_columns(url: str) -> tuple[str, str]:
    """Return (canonical_url, url_violation) as an analysis stores them."""
    return canonical_url(url), violation(url, url_rules())


def rules_digest() -> str:
    """Return the SHA-256 by which it is known whether the contract has changed since."""
    text = json.dumps([_RULES_VERSION, *url_rules().patterns])
    return hashlib.sha256(text.encode()).hexdigest()


@lru_cache(maxsize=8)
def _rules(configured: tuple[str, ...], own_hosts: tuple[str, ...]) -> UrlRules:
    dropped = {entry[1:] for entry in configured if entry.startswith("!")}
    kept = [pattern for pattern in DEFAULT_PATTERNS if pattern not in dropped]
    added = [entry for entry in configured if not entry.startswith("!")]
    own = [_of_host(host) for host in own_hosts if host.strip("*.")]
    return UrlRules((*kept, *added, *own))


def _of_host(host: str) -> str:
    """The pattern of a host of Django's ALLOWED_HOSTS, where a leading dot means its subdomains too."""
    name = re.escape(host.lstrip("."))
    return rf"//([^/@]*\.)?{name}(?=[:/]|$)" if host.startswith(".") else rf"//{name}(?=[:/]|$)"
