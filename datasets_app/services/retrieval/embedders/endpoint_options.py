"""How an OpenAI-compatible endpoint is reached: the options of its EmbeddingModel, checked."""

from __future__ import annotations

import ipaddress
import re
from dataclasses import dataclass, fields
from typing import Any
from urllib.parse import SplitResult, urlsplit

from goldenproject.kit.errors import BadInput

_ENVIRONMENT_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]{0,127}")
_RANGES: dict[str, tuple[float, float]] = {
    "dimensions": (0, 16_000),
    "batch_size": (1, 2048),
    "timeout_s": (0.01, 3600),
    "max_tries": (1, 100),
    "max_wait_s": (0, 3600),
    "max_characters": (1, 10_000_000),
    "requests_per_minute": (0, 1_000_000),
}


@dataclass(frozen=True)
class EndpointOptions:
    """`base_url` and `model` are needed; the rest has defaults that suit the usual services.

    base_url: up to, without /embeddings, for example https://api.openai.com/v1
    api_key_env: name of the environment variable that holds the key; empty: no key is sent
    dimensions: asked of models that can shorten their vectors; 0: not asked
    query_prefix, passage_prefix: put before each text, for models that were trained with them
    batch_size: texts a request; timeout_s: of a whole try; max_tries: of a request, the first included
    max_wait_s: longest pause between two tries, also when the service asks for a longer one
    max_characters: what is longer is cut before it is sent; requests_per_minute: 0 for no limit of our own
    allow_http: plain http to another machine, without a key; always allowed to this one
    """

    base_url: str
    model: str
    api_key_env: str = ""
    dimensions: int = 0
    query_prefix: str = ""
    passage_prefix: str = ""
    batch_size: int = 64
    timeout_s: float = 60.0
    max_tries: int = 5
    max_wait_s: float = 60.0
    max_characters: int = 24_000
    requests_per_minute: float = 0.0
    allow_http: bool = False

    @property
    def url(self) -> str:
        """Where the requests go."""
        parts = urlsplit(self.base_url)
        return parts._replace(path=f"{parts.path.rstrip('/')}/embeddings").geturl()

    @property
    def is_local(self) -> bool:
        """Whether the endpoint is on this machine."""
        return _is_loopback(urlsplit(self.base_url).hostname or "")


def endpoint_options(document: dict[str, Any]) -> EndpointOptions:
    """Return the options in `document`. Raises BadInput that names the option, what was found and what is expected."""
    known = {field.name: field for field in fields(EndpointOptions)}
    unknown = sorted(document.keys() - known.keys())
    if unknown:
        raise BadInput(
            f"Option {unknown[0]}: an endpoint has no such option.", hint=f"It may have: {', '.join(known)}."
        )
    for name in ("base_url", "model"):
        if not document.get(name):
            raise BadInput(f"Option {name}: found nothing, but an endpoint needs it.")
    for name, value in document.items():
        _check_type(name, value, str(known[name].type))
    options = EndpointOptions(**document)
    _check_url(options)
    if options.api_key_env and not _ENVIRONMENT_NAME.fullmatch(options.api_key_env):
        # what looks like the key itself must not come back in a message that is logged
        raise BadInput(
            "Option api_key_env: found what is no name of an environment variable.",
            hint="Put the key into an environment variable of the server and give that variable's name.",
        )
    return options


def _check_type(name: str, value: Any, kind: str) -> None:
    number = isinstance(value, int) or (kind == "float" and isinstance(value, float))
    fits = {
        "str": isinstance(value, str),
        "bool": isinstance(value, bool),
        "int": number and not isinstance(value, bool),
        "float": number and not isinstance(value, bool),
    }[kind]
    if not fits:
        raise BadInput(f"Option {name}: found {value!r}, expected {kind}.")
    low, high = _RANGES.get(name, (0, 0))
    if name in _RANGES and not low <= value <= high:
        raise BadInput(f"Option {name}: found {value}, expected {low} to {high}.")


def _check_url(options: EndpointOptions) -> None:
    try:
        parts = urlsplit(options.base_url)
        usable = bool(parts.hostname) and (parts.port is None or parts.port > 0)
    except ValueError:
        usable, parts = False, SplitResult("", "", "", "", "")
    if not usable or parts.scheme not in ("http", "https"):
        raise BadInput(
            "Option base_url: found no http or https address.", hint="For example https://api.openai.com/v1"
        )
    if parts.username is not None or parts.password is not None or parts.fragment:
        raise BadInput(
            "Option base_url: found a user, a password or a fragment in the address.",
            hint="A secret belongs into the environment variable that api_key_env names.",
        )
    if parts.scheme == "https" or options.is_local:
        return
    if options.api_key_env:
        raise BadInput(
            f"Option base_url: found http to {parts.hostname} with a key, expected https.",
            hint="Over http anybody on the way could read the key.",
        )
    if not options.allow_http:
        raise BadInput(
            f"Option base_url: found http to {parts.hostname}, expected https.",
            hint="Texts would travel unprotected. Say allow_http=true if that network is yours.",
        )


def _is_loopback(host: str) -> bool:
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False
