"""Labelers that call the API over HTTP, each with a connection that is kept, and what their calls take."""

from __future__ import annotations

import http.client
import json
import random
import statistics
import threading
import time
import uuid
from collections.abc import Callable
from typing import Any

from tests.bench.labeling_site import LABELS, Prepared

API = "/api/v1/labeling"
_BROKEN = (OSError, http.client.HTTPException)


class Refused(Exception):
    """The API answered with an error that sending again does not cure."""

    def __init__(self, status: int, body: dict[str, Any]) -> None:
        super().__init__(f"{status} {body.get('code')}: {body.get('message')}")
        self.status, self.code = status, str(body.get("code"))


class Caller:
    """One labeler's connection. `times` collects (name of the call, seconds) of what was answered at the first try."""

    def __init__(self, port: int, token: str, *, stubborn: bool = False) -> None:
        self._port, self._stubborn = port, stubborn
        self._headers = {"Authorization": f"Token {token}", "Content-Type": "application/json"}
        self._connection: http.client.HTTPConnection | None = None
        self.times: list[tuple[str, float]] = []
        self.tries_again = 0

    def call(self, name: str, method: str, path: str, body: Any = None, *, key: str = "") -> dict[str, Any]:
        """Return the JSON answer. A stubborn caller goes on until there is one that is no fault of the server's.

        Raises Refused for a 4xx; for a 5xx or a broken connection too, unless it is stubborn.
        """
        give_up = time.monotonic() + 180
        pause = 0.05
        while True:
            begun = time.perf_counter()
            try:
                status, answer = self._once(method, path, body, key)
            except _BROKEN:
                self.close()
                if not self._stubborn or time.monotonic() > give_up:
                    raise
            else:
                if status < 400:
                    self.times.append((name, time.perf_counter() - begun))
                    return answer
                if status < 500 and status != 429:
                    raise Refused(status, answer)
                if not self._stubborn or time.monotonic() > give_up:
                    raise Refused(status, answer)
            self.tries_again += 1
            time.sleep(pause * (0.5 + random.random()))
            pause = min(pause * 2, 1.0)

    def _once(self, method: str, path: str, body: Any, key: str) -> tuple[int, dict[str, Any]]:
        if self._connection is None:
            self._connection = http.client.HTTPConnection("127.0.0.1", self._port, timeout=120)
        headers = {**self._headers, "Idempotency-Key": key} if key else self._headers
        self._connection.request(method, path, None if body is None else json.dumps(body), headers)
        response = self._connection.getresponse()
        text = response.read()
        if not text.startswith((b"{", b"[")):
            return response.status, {"message": text[:200].decode(errors="replace")}
        return response.status, json.loads(text)

    def close(self) -> None:
        if self._connection is not None:
            self._connection.close()
            self._connection = None

    # what labelers do ---------------------------------------------------------------------------------------------

    def start(self, queue: str) -> str:
        return str(self.call("start", "POST", f"{API}/queues/{queue}/sessions", {})["session"])

    def take(self, session: str, hold: list[str] | None = None) -> dict[str, Any] | None:
        body = {"count": 1, "hold": hold or []}
        tasks = self.call("next", "POST", f"{API}/sessions/{session}/next", body)["tasks"]
        return tasks[0] if tasks else None

    def submit(self, task: dict[str, Any], label: str, key: str, following: int = 0) -> dict[str, Any]:
        body = {
            "value": {"label": label},
            "content_hash": task["content_hash"],
            "schema_digest": task["schema_digest"],
            "duration_ms": 2000,
            "next": following,
        }
        name = "submit and next" if following else "submit"
        return self.call(name, "POST", f"{API}/leases/{task['lease']}/submit", body, key=key)

    def by_key(self, row: int) -> None:
        self.call("by key", "GET", f"/bench/by-key/{row}")


def spread(times: list[float]) -> dict[str, float]:
    """Return the median, the 95th and the 99th percentile in ms, and how many there were."""
    cuts = statistics.quantiles(times, n=100, method="inclusive")
    return {
        "p50_ms": round(statistics.median(times) * 1000, 2),
        "p95_ms": round(cuts[94] * 1000, 2),
        "p99_ms": round(cuts[98] * 1000, 2),
        "calls": len(times),
    }


def spreads(callers: list[Caller]) -> dict[str, dict[str, float]]:
    by_name: dict[str, list[float]] = {}
    for caller in callers:
        for name, seconds in caller.times:
            by_name.setdefault(name, []).append(seconds)
    return {name: spread(times) for name, times in sorted(by_name.items()) if len(times) > 1}


def one_alone(port: int, prepared: Prepared, calls: int) -> dict[str, dict[str, float]]:
    """One labeler, one call at a time, by turns: a row by key, next, submit; then submits that bring the next."""
    caller = Caller(port, prepared.tokens[0])
    session = caller.start(prepared.queue)
    rng = random.Random(1)
    for number in range(calls + 20):
        if number == 20:
            caller.times.clear()  # what is compiled and planned once is not what is measured
        caller.by_key(rng.choice(prepared.rows))
        task = caller.take(session)
        assert task is not None
        caller.submit(task, rng.choice(LABELS), uuid.uuid4().hex)
    task = caller.take(session)
    for _ in range(calls):
        assert task is not None
        task = caller.submit(task, rng.choice(LABELS), uuid.uuid4().hex, following=1)["tasks"][0]
    caller.close()
    return spreads([caller])


def many_at_once(port: int, prepared: Prepared, *, seconds: float, think_s: float) -> dict[str, Any]:
    """All labelers at once for `seconds`. They wait `think_s` on the average before each answer, as people do.

    After each answer they read a row by key: so the yardstick meets the same load as what is held against it.
    """
    callers = [Caller(port, token) for token in prepared.tokens]
    sessions = [caller.start(prepared.queue) for caller in callers]
    for caller in callers:
        caller.times.clear()
    stop = threading.Event()

    def label(number: int) -> None:
        rng, caller = random.Random(number), callers[number]
        stop.wait(rng.uniform(0, think_s))  # people do not begin at one stroke
        while not stop.is_set():
            task = caller.take(sessions[number])
            if task is None or stop.wait(rng.uniform(0, 2 * think_s) if think_s else 0):
                return
            caller.submit(task, rng.choice(LABELS), uuid.uuid4().hex)
            caller.by_key(rng.choice(prepared.rows))

    begun = time.perf_counter()
    run_all(label, len(callers), until=lambda: stop.wait(seconds) or stop.set())
    took = time.perf_counter() - begun
    found: dict[str, Any] = dict(spreads(callers))
    labels = sum(name == "submit" for caller in callers for name, _ in caller.times)
    found["labels_per_second"] = round(labels / took, 1)
    for caller in callers:
        caller.close()
    return found


def run_all(work: Callable[[int], None], count: int, until: Callable[[], Any] = lambda: None) -> None:
    """Run `work(0)` … in a thread each, `until` beside them, and raise the first error of a thread."""
    errors: list[BaseException] = []

    def guarded(number: int) -> None:
        try:
            work(number)
        except BaseException as error:
            errors.append(error)

    threads = [threading.Thread(target=guarded, args=[number], daemon=True) for number in range(count)]
    for thread in threads:
        thread.start()
    until()
    for thread in threads:
        thread.join()
    if errors:
        raise errors[0]
