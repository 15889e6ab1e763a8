"""What every command does alike: usage, interruption, a broken pipe, the database's absence, the terminal."""

from __future__ import annotations

import json
import os
import signal
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.core.management import get_commands, load_command_class
from django.db import OperationalError

from goldenproject.kit.commands import GoldenCommand, Outcome, find_actor, printable
from goldenproject.kit.errors import BadInput
from tests.integration.commands.conftest import run_command

pytestmark = pytest.mark.django_db


class Failing(GoldenCommand):
    """Raises what it is given."""

    def __init__(self, error: BaseException) -> None:
        super().__init__()
        self._error = error

    def run(self, *, actor: Any, options: dict[str, Any]) -> Outcome:
        raise self._error


@pytest.mark.parametrize(
    ("error", "code", "told"),
    [
        (BadInput("Found x, expected y.", hint="Say y."), 1, "Found x, expected y.\nSay y.\n"),
        (KeyboardInterrupt(), 130, "Interrupted; nothing was left half done.\n"),
        (BrokenPipeError(), 1, ""),
        (FileNotFoundError(2, "No such file or directory", "/x"), 1, "/x: No such file or directory.\n"),
        (
            OSError(28, "No space left on device", "/x"),
            1,
            "/x: No space left on device.\nThe disk is full: make room and run it again; nothing was left half done.\n",
        ),
        (
            OperationalError("connection refused"),
            1,
            "The database could not do it: connection refused.\nIs it running, and is there room on its disk?\n",
        ),
    ],
)
def test_golden_command__failure__is_told_without_a_traceback(
    error: BaseException, code: int, told: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("goldenproject.kit.commands._discard_stdout", lambda: None)
    ran = run_command(Failing(error))
    assert (ran.code, ran.out, ran.err) == (code, "", told)


def test_golden_command__failure_with_json__is_one_document_on_stderr() -> None:
    ran = run_command(Failing(BadInput("Found x.", hint="Say y.", path="$.a")), "--json")
    assert (ran.code, ran.out) == (1, "")
    assert json.loads(ran.err) == {
        "error": {
            "code": "bad_input",
            "message": "Found x.",
            "hint": "Say y.",
            "details": {"path": "$.a"},
            "exit_code": 1,
        }
    }


def test_golden_command__traceback_asked_for__gets_the_exception() -> None:
    with pytest.raises(BadInput):
        run_command(Failing(BadInput("x")), "--traceback")


def test_golden_command__unknown_option_with_json__is_an_error_document(
    capsys: pytest.CaptureFixture[str],
) -> None:
    command = load_command_class(get_commands()["golden_log"], "golden_log")
    with pytest.raises(SystemExit) as ended:
        command.run_from_argv(["manage.py", "golden_log", "emails", "--colour", "--json"])
    assert ended.value.code == 2
    assert json.loads(capsys.readouterr().err)["error"]["code"] == "usage"


def test_find_actor__user_named_like_the_os_user__is_taken(monkeypatch: pytest.MonkeyPatch) -> None:
    user = User.objects.create_user("anna")
    monkeypatch.setattr("goldenproject.kit.commands._os_user", lambda: "anna")
    assert find_actor(None) == user
    monkeypatch.setattr("goldenproject.kit.commands._os_user", lambda: "root")
    assert find_actor(None) is None


def test_find_actor__inactive_user__is_refused() -> None:
    User.objects.create_user("gone", is_active=False)
    with pytest.raises(BadInput, match="The user “gone” is not active"):
        find_actor("gone")


def test_every_golden_command__has_json_user_and_help() -> None:
    names = [name for name in get_commands() if name.startswith("golden_")]
    assert {"golden_import", "golden_commit", "golden_export", "golden_merge"} <= set(names)
    for name in names:
        command = load_command_class(get_commands()[name], name)
        if isinstance(command, GoldenCommand):
            text = command.create_parser("manage.py", name).format_help()
            assert "--json" in text
            assert command.help


def test_printable__control_characters__become_visible() -> None:
    assert printable("a\x1b[31mb\tc\x00") == "a\\x1b[31mb\tc\\x00"


class Terminated(GoldenCommand):
    """Is told by the operating system to end."""

    def run(self, *, actor: Any, options: dict[str, Any]) -> Outcome:
        os.kill(os.getpid(), signal.SIGTERM)
        raise AssertionError("still here")


def test_golden_command__sigterm__unwinds_with_143() -> None:
    before = signal.getsignal(signal.SIGTERM)
    ran = run_command(Terminated())
    assert (ran.code, ran.out) == (143, "")
    assert signal.getsignal(signal.SIGTERM) == before
