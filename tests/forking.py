"""Processes that tests fork, to be killed or measured. They never use a connection of the process they came from."""

from __future__ import annotations

import os
import traceback
from collections.abc import Callable

from django.db import connection, connections

_inherited: list[
    object
] = []  # never closed and never freed: that would tell the server to end the parent's session


def fork() -> int:
    """Fork; return the child's id, or 0 in the child, which has connections of its own."""
    connection.close()
    child = os.fork()
    if child == 0:
        # Connections belong to the thread, or to the loop that runs in it. The browser's loop runs in the parent's thread
        # and not in the child's, so what was closed above may be another than what the child finds.
        for found in connections.all(initialized_only=True):
            _inherited.append(found)
            connections[found.alias] = connections.create_connection(found.alias)
    return child


def in_child(work: Callable[[], object]) -> tuple[int, int]:
    """Run `work` in a forked process; return its exit status (-9 when it was killed) and the most bytes that it held.

    An error of `work` fails the test, and is told.
    """
    told, tell = os.pipe()
    child = fork()
    if child == 0:
        code = 1
        try:
            work()
            code = 0
        except BaseException:
            os.write(tell, traceback.format_exc()[-60_000:].encode())
        finally:
            os._exit(code)
    os.close(tell)
    with os.fdopen(told) as lines:
        error = lines.read()
    _, status, usage = os.wait4(child, 0)
    assert not error, error
    return os.waitstatus_to_exitcode(status), usage.ru_maxrss * 1024
