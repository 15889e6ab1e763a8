"""Vectors from an OpenAI-compatible endpoint: POST {base_url}/embeddings with {"model", "input": [texts]}.

What may pass is tried again (time-outs, broken connections, 408, 409, 429, 5xx), with growing pauses and jitter; a
batch that is refused as such is halved; everything else is told at once.
"""

from __future__ import annotations

import json
import logging
import os
import random
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from email.utils import parsedate_to_datetime
from typing import TYPE_CHECKING, Any

import numpy as np

from datasets_app.errors import EmbeddingTrouble
from datasets_app.services.retrieval.embedders.endpoint_options import EndpointOptions
from datasets_app.services.retrieval.embedders.unit_vectors import Vectors, unit_vectors

if TYPE_CHECKING:
    import httpx

logger = logging.getLogger(__name__)

_TRY_AGAIN = (408, 409, 425, 429)
_BATCH_REFUSED = (400, 413, 422)
_FIRST_WAIT_S = 0.5
_SEARCH_TIMEOUT_S, _SEARCH_TRIES, _SEARCH_WAIT_S = 10.0, 2, 2.0
_ANSWER_BYTES = 64 * 1024
_ANSWER_BYTES_A_TEXT = 16_000 * 32  # the longest vector that is stored, with every digit a number may have


class _Passing(Exception):
    """A try failed in a way that another may not; `wait_s` is how long the service asks to wait, if it does."""

    def __init__(self, reason: str, wait_s: float | None = None) -> None:
        self.reason, self.wait_s = reason, wait_s
        super().__init__(reason)


class _BatchRefused(Exception):
    """The service refuses these texts as they are: fewer or shorter ones may do."""


@dataclass(frozen=True)
class _Patience:
    """How long to go on with a request: of one try, how many tries, the longest pause between two."""

    timeout_s: float
    max_tries: int
    max_wait_s: float


@dataclass(frozen=True)
class _Answer:
    status: int
    retry_after: str
    body: bytes


class OpenAIEndpoint:
    """An embedder behind an address. Safe to share between threads.

    `dimension` None takes whatever the model gives at first, and insists on it from then on.
    """

    def __init__(
        self,
        options: EndpointOptions,
        *,
        dimension: int | None = None,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self._options = options
        self._patience = _Patience(options.timeout_s, options.max_tries, options.max_wait_s)
        self._short_patience = _Patience(
            min(options.timeout_s, _SEARCH_TIMEOUT_S),
            min(options.max_tries, _SEARCH_TRIES),
            min(options.max_wait_s, _SEARCH_WAIT_S),
        )
        self._dimension = dimension
        self._sleep = sleep
        self._client: httpx.Client | None = None
        self._lock = threading.Lock()
        self._next_request = 0.0

    @property
    def dimension(self) -> int:
        """Length of each vector; when nobody knows it yet, a request finds out. Raises EmbeddingTrouble."""
        if self._dimension is None:
            self.embed_passages(["dimension"])  # which waits longer: the service may have to load the model
        assert self._dimension is not None
        return self._dimension

    def embed_passages(self, texts: Sequence[str]) -> Vectors:
        """Return unit vectors, float32 (len(texts), dimension). Raises EmbeddingTrouble, WrongDimension."""
        return self._embed(texts, self._options.passage_prefix, self._patience)

    def embed_queries(self, texts: Sequence[str]) -> Vectors:
        """Do as `embed_passages`, with the prefix of queries.

        One query alone is a person's search: after 10 s a try, and two tries, it is better answered without vectors.
        """
        patience = self._short_patience if len(texts) == 1 else self._patience
        return self._embed(texts, self._options.query_prefix, patience)

    def close(self) -> None:
        """Let go of the connections; a later call opens new ones."""
        with self._lock:
            if self._client is not None:
                self._client.close()
                self._client = None

    def _embed(self, texts: Sequence[str], prefix: str, patience: _Patience) -> Vectors:
        sent = [self._sent(text, prefix) for text in texts]
        size = self._options.batch_size
        parts = [self._batch(sent[start : start + size], patience) for start in range(0, len(sent), size)]
        return np.vstack(parts) if parts else np.empty((0, self._dimension or 0), np.float32)

    def _sent(self, text: str, prefix: str) -> str:
        cut = (prefix + text)[: self._options.max_characters].encode("utf-8", "replace").decode()
        return cut if cut.strip() else " "  # the original service refuses an empty text

    def _batch(self, texts: list[str], patience: _Patience) -> Vectors:
        """Return the vectors of one request; of its halves, when it is refused as a whole."""
        try:
            body = self._request(texts, patience)
        except _BatchRefused as refusal:
            if len(texts) == 1:
                raise self._trouble(
                    f"refused the text {texts[0][:60]!r}… of {len(texts[0])} characters: {refusal}",
                    hint="If it is too long for the model, set the option max_characters.",
                ) from refusal
            middle = len(texts) // 2
            return np.vstack([self._batch(texts[:middle], patience), self._batch(texts[middle:], patience)])
        vectors = unit_vectors(
            self._rows(body, len(texts)), count=len(texts), dimension=self._dimension, where=self._where
        )
        self._dimension = vectors.shape[1]
        return vectors

    # --- asking -----------------------------------------------------------------------------------------------------
    def _request(self, texts: list[str], patience: _Patience) -> bytes:
        """Send until there is an answer or the tries are used up. Raises EmbeddingTrouble, _BatchRefused."""
        for attempt in range(1, patience.max_tries + 1):
            try:
                return self._checked(self._send(texts, patience.timeout_s))
            except _Passing as failure:
                if attempt == patience.max_tries:
                    raise self._trouble(
                        f"{failure.reason}, at each of {attempt} tries",
                        hint="Vectors that are stored stay; run it again when the service is back.",
                    ) from failure
                wait_s = min(self._wait_s(attempt, failure), patience.max_wait_s)
                logger.warning("%s: %s; trying again in %.1f s", self._where, failure.reason, wait_s)
                self._sleep(wait_s)
        raise AssertionError("unreachable")

    @staticmethod
    def _wait_s(attempt: int, failure: _Passing) -> float:
        jitter = 0.5 + random.random()  # noqa: S311 - spreads the tries of many clients
        return max(failure.wait_s or 0.0, _FIRST_WAIT_S * 2.0 ** min(attempt - 1, 10) * jitter)

    def _send(self, texts: list[str], timeout_s: float) -> _Answer:
        import httpx

        document: dict[str, Any] = {"model": self._options.model, "input": texts}
        if self._options.dimensions:
            document["dimensions"] = self._options.dimensions
        self._keep_pace()
        deadline = time.monotonic() + timeout_s
        most = _ANSWER_BYTES + len(texts) * _ANSWER_BYTES_A_TEXT
        body = bytearray()
        try:
            with self._connection().stream(
                "POST", self._options.url, json=document, headers=self._key(), timeout=timeout_s
            ) as reply:
                for part in reply.iter_bytes():
                    body += part
                    if len(body) > most:
                        raise self._trouble(f"answered with more than {most} bytes for {len(texts)} texts")
                    if time.monotonic() > deadline:
                        raise _Passing(f"did not finish its answer in {timeout_s} s")
                return _Answer(reply.status_code, reply.headers.get("retry-after", ""), bytes(body))
        except httpx.TimeoutException as error:
            raise _Passing(f"did not answer in {timeout_s} s") from error
        except httpx.TransportError as error:
            raise _Passing(f"could not be reached ({error})") from error
        except httpx.DecodingError as error:
            raise self._trouble(f"answered with a body that cannot be unpacked ({error})") from error

    def _connection(self) -> httpx.Client:
        import httpx

        with self._lock:
            if self._client is None:
                self._client = httpx.Client(
                    follow_redirects=False,  # it would carry the texts, and perhaps the key, elsewhere
                    trust_env=not self._options.is_local,  # a proxy has no business between us and ourselves
                )
            return self._client

    def _key(self) -> dict[str, str]:
        name = self._options.api_key_env
        if not name:
            return {}
        key = os.environ.get(name, "").strip()
        if not key or not key.isascii() or not key.isprintable():
            raise self._trouble(
                f"needs a key, and the environment variable {name} holds none that can be sent",
                hint="Set it for the web server, for the worker and for commands alike.",
            )
        return {"Authorization": f"Bearer {key}"}

    def _without_key(self, said: str) -> str:
        """Some services repeat the key that they refuse; messages go to logs, jobs and pages."""
        key = os.environ.get(self._options.api_key_env, "").strip() if self._options.api_key_env else ""
        return said.replace(key, "…") if key else said

    def _keep_pace(self) -> None:
        """Wait until the next request is due under requests_per_minute."""
        if not self._options.requests_per_minute:
            return
        with self._lock:
            moment = time.monotonic()
            wait_s = max(0.0, self._next_request - moment)
            self._next_request = moment + wait_s + 60 / self._options.requests_per_minute
        if wait_s:
            self._sleep(wait_s)

    # --- reading ----------------------------------------------------------------------------------------------------
    def _checked(self, answer: _Answer) -> bytes:
        """Return the body of a good answer. Raises _Passing, _BatchRefused, EmbeddingTrouble."""
        status, said = answer.status, self._without_key(_said(answer.body))
        if status == 200:
            return answer.body
        if status in _TRY_AGAIN or status >= 500:
            raise _Passing(f"answered {status}{said}", _seconds(answer.retry_after))
        if status in _BATCH_REFUSED:
            raise _BatchRefused(f"it answered {status}{said}")
        if status in (401, 403):
            raise self._trouble(
                f"answered {status}{said}",
                hint=f"Check the key in the environment variable {self._options.api_key_env}."
                if self._options.api_key_env
                else "If it needs a key, name its environment variable in the option api_key_env.",
            )
        if 300 <= status < 400:
            raise self._trouble(
                f"answered {status}: redirects are not followed", hint="Set base_url to the final address."
            )
        raise self._trouble(f"answered {status}{said}", hint="Check the options base_url and model.")

    def _rows(self, body: bytes, count: int) -> list[list[float]]:
        """Return the vectors of an answer in the order of the texts, whatever order they came in."""
        try:
            data = json.loads(body)["data"]
            rows = [item["embedding"] for item in data]
            places = [item.get("index") for item in data]
        except (ValueError, RecursionError, LookupError, TypeError, AttributeError) as error:
            raise self._trouble(
                f'answered {body[:80]!r}, expected {{"data": [{{"index", "embedding"}}]}}',
                hint="Is base_url the address of an OpenAI-compatible service, up to /v1 or the like?",
            ) from error
        for row in rows:
            kinds = set(map(type, row)) if isinstance(row, list) else {type(row)}
            if not isinstance(row, list) or not kinds <= {int, float, type(None)}:
                names = ", ".join(sorted(kind.__name__ for kind in kinds))
                raise self._trouble(f"answered with a vector of {names}, expected a list of numbers")
        if len(rows) == count and places != [None] * count:
            if any(type(place) is not int for place in places) or sorted(places) != list(range(count)):
                raise self._trouble(f"answered with the indexes {places[:20]}, expected 0 to {count - 1}")
            rows = [row for _, row in sorted(zip(places, rows, strict=True), key=lambda pair: pair[0])]
        return rows

    @property
    def _where(self) -> str:
        return f"The embedding endpoint {self._options.url} (model {self._options.model})"

    def _trouble(self, what: str, *, hint: str = "") -> EmbeddingTrouble:
        return EmbeddingTrouble(f"{self._where} {what}.", hint=hint)


def _said(body: bytes) -> str:
    """Return what the service said of its refusal, shortened, to put behind the status."""
    try:
        error = json.loads(body)["error"]
        text = error["message"] if isinstance(error, dict) else error
    except (ValueError, RecursionError, LookupError, TypeError):
        text = body[:200].decode("utf-8", "replace")
    text = " ".join(str(text).split())[:200]
    return f" ({text})" if text else ""


def _seconds(retry_after: str) -> float | None:
    """Return the seconds that a Retry-After header asks for (a number or a date, RFC 9110 section 10.2.3)."""
    if not retry_after:
        return None
    try:
        return max(0.0, float(retry_after))
    except ValueError:
        pass
    try:
        return max(0.0, parsedate_to_datetime(retry_after).timestamp() - time.time())
    except (ValueError, TypeError, OverflowError):
        return None
