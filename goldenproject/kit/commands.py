"""The base of every golden_* command: one way to take the actor, to show results and errors, and to end.

A command is a shell round one service. It implements `add_command_arguments` and `run`, and returns an Outcome: the
text for a reader and, for `--json`, one document for a program. On the command line an error is told on stderr and
ends the process with its exit code; `call_command` gets the exception itself.

Exit codes: 0 done · 1 refused or failed · 2 wrong usage · 3 conflicts wait for a person · 130 interrupted.
"""

from __future__ import annotations

import getpass
import os
import signal
import sys
from argparse import ArgumentParser
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, ClassVar, NoReturn

import orjson
from django.contrib.auth import get_user_model
from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.db import DatabaseError, OperationalError, ProgrammingError
from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    SpinnerColumn,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)
from rich.text import Text

from goldenproject.kit.errors import BadInput, GoldenError, Unavailable

EXIT_FAILED = 1
EXIT_USAGE = 2
EXIT_CONFLICTS = 3
EXIT_INTERRUPTED = 130
EXIT_TERMINATED = 143

Report = Callable[..., None]
"""Tells progress: report(done, total=None), both counts of rows; calls beyond a few a second cost nothing."""


class UsageError(BadInput):
    """The command was called in a way that it does not understand."""

    code = "usage"
    exit_code = EXIT_USAGE


class DatabaseUnavailable(Unavailable):
    """The database does not answer."""

    code = "database_unavailable"


class SchemaOutdated(GoldenError):
    """The database does not have the tables that this version needs."""

    code = "schema_outdated"


class DatabaseRights(GoldenError):
    """The database role that this process works under has no right to do that."""

    code = "database_rights"


class FileTrouble(GoldenError):
    """A file could not be read or written."""

    code = "file_trouble"


@dataclass(frozen=True)
class Outcome:
    """What a command has to say: `document` for --json, `text` (str or rich Text) for a reader."""

    document: Any
    text: str | Text = ""
    exit_code: int = 0


class GoldenCommand(BaseCommand):
    """Base of the golden_* commands. Subclasses set `help` and implement `add_command_arguments` and `run`."""

    requires_system_checks: ClassVar[list[str]] = []  # type: ignore[misc]
    _json_wanted = False

    def add_command_arguments(self, parser: ArgumentParser) -> None:
        """Add the arguments of this command."""

    def run(self, *, actor: Any, options: dict[str, Any]) -> Outcome:
        """Do the work as `actor` (a user, or None for the system) and return what there is to say."""
        raise NotImplementedError

    # Django's side ------------------------------------------------------------------------------------------------

    def add_arguments(self, parser: CommandParser) -> None:
        self.add_command_arguments(parser)
        common = parser.add_argument_group("common options")
        common.add_argument(
            "--json", action="store_true", help="print one JSON document, errors too (on stderr)"
        )
        common.add_argument(
            "--user",
            metavar="NAME",
            help="act as this user, with this user's rights (default: the user named like the "
            "operating system's, if there is one; otherwise the system itself)",
        )

    def create_parser(self, prog_name: str, subcommand: str, **kwargs: Any) -> CommandParser:
        parser = super().create_parser(prog_name, subcommand, **kwargs)
        if self._json_wanted:
            parser.error = _raise_usage  # type: ignore[method-assign, assignment]
        return parser

    def run_from_argv(self, argv: list[str]) -> None:
        self._json_wanted = "--json" in argv[2:]
        try:
            super().run_from_argv(argv)
        except UsageError as error:
            self._tell(error, as_json=True, quiet_color=True)
            sys.exit(error.exit_code)

    def execute(self, *args: Any, **options: Any) -> None:
        """Run; from the command line, tell errors and end with their exit code."""
        if not getattr(self, "_called_from_command_line", False):
            super().execute(*args, **options)
            return
        with _terminated_like_interrupted():
            code = self._execute_telling(*args, **options)
        if code:
            sys.exit(code)

    def handle(self, *args: Any, **options: Any) -> None:
        self._options = options
        outcome = self.run(actor=find_actor(options.get("user")), options=options)
        self._show(outcome)
        self._exit_code = outcome.exit_code

    # What commands use --------------------------------------------------------------------------------------------

    @property
    def on_terminal(self) -> bool:
        """Whether a person reads stdout directly."""
        return bool(self.stdout.isatty()) and not self._options.get("no_color")

    @contextmanager
    def progress(self, title: str) -> Iterator[Report]:
        """Yield a function report(done, total=None) that draws a bar on a terminal and does nothing without one."""
        if not self.stderr.isatty() or self._options.get("verbosity") == 0:
            yield _silent
            return
        bar = Progress(
            SpinnerColumn(),
            TextColumn("{task.description}"),
            BarColumn(),
            MofNCompleteColumn(),
            TimeElapsedColumn(),
            TimeRemainingColumn(),
            console=Console(file=_plain(self.stderr), no_color=bool(self._options.get("no_color"))),
            transient=True,
        )
        with bar:
            task = bar.add_task(title, total=None)

            def report(done: int, total: int | None = None, *_: Any) -> None:
                bar.update(task, completed=done, total=total)

            yield report

    def confirm(self, question: str, *, yes: bool) -> None:
        """Ask a person before what cannot be undone; without a terminal --yes is needed. Raises UsageError."""
        if yes:
            return
        if not sys.stdin.isatty():
            raise UsageError("This cannot be undone, and nobody is there to ask.", hint="Say --yes.")
        self.stderr.write(f"{question} [y/N] ", ending="")
        if sys.stdin.readline().strip().lower() not in ("y", "yes"):
            raise UsageError("Nothing was done.")

    # Telling ------------------------------------------------------------------------------------------------------

    def _show(self, outcome: Outcome) -> None:
        out = _plain(self.stdout)
        if self._options.get("json"):
            out.write(json_document(outcome.document))
        elif outcome.text:
            # soft_wrap leaves the wrapping to the terminal: a line stays one line for grep and for copying
            console = Console(
                file=out,
                highlight=False,
                markup=False,
                emoji=False,
                soft_wrap=True,
                force_terminal=self.on_terminal or bool(self._options.get("force_color")),
                no_color=bool(self._options.get("no_color")),
            )
            console.print(outcome.text)
        out.flush()

    def _execute_telling(self, *args: Any, **options: Any) -> int:
        try:
            self._exit_code = 0
            super().execute(*args, **options)
            return self._exit_code
        except BrokenPipeError:
            # the reader of our output went away (head, less): no matter for complaint
            _discard_stdout()
            return EXIT_FAILED
        except KeyboardInterrupt:
            self.stderr.write("Interrupted; nothing was left half done.")
            return EXIT_INTERRUPTED
        except (GoldenError, CommandError, DatabaseError, OSError) as error:
            if options.get("traceback"):
                raise
            told = as_golden_error(error)
            self._tell(told, as_json=bool(options.get("json")), quiet_color=bool(options.get("no_color")))
            return told.exit_code

    def _tell(self, error: GoldenError, *, as_json: bool, quiet_color: bool) -> None:
        err = _plain(self.stderr)
        if as_json:
            err.write(json_document({"error": {**error.as_dict(), "exit_code": error.exit_code}}))
        else:
            console = Console(
                file=err, highlight=False, markup=False, emoji=False, soft_wrap=True, no_color=quiet_color
            )
            console.print(Text(printable(error.message), style="bold red"))
            if error.hint:
                console.print(printable(error.hint))
        err.flush()


def find_actor(name: str | None) -> Any:
    """Return the user to act as: the one named, else the one named like the OS user, else None (the system)."""
    users = get_user_model()._default_manager
    field = get_user_model().USERNAME_FIELD
    if name is None:
        return users.filter(**{field: _os_user()}, is_active=True).first()
    user = users.filter(**{field: name}).first()
    if user is None:
        raise UsageError(
            f"There is no user “{name}”.", hint="Users are made in the admin, or by createsuperuser."
        )
    if not user.is_active:
        raise UsageError(f"The user “{name}” is not active, so nothing can be done under this name.")
    return user


def as_golden_error(error: Exception) -> GoldenError:
    """Return `error` as one of ours: what happened, where, and what to do."""
    if isinstance(error, GoldenError):
        return error
    if isinstance(error, CommandError):
        usage = UsageError(str(error))
        return usage
    if isinstance(error, OSError):
        where = f"{error.filename}: " if error.filename else ""
        hints = {28: "The disk is full: make room and run it again; nothing was left half done."}
        return FileTrouble(f"{where}{error.strerror or error}.", hint=hints.get(error.errno or 0, ""))
    first_line = str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
    if isinstance(error, ProgrammingError) and getattr(error.__cause__, "sqlstate", "") in (
        "42P01",
        "42703",
        "42883",
    ):
        return SchemaOutdated(
            f"The database does not have what this version needs: {first_line}.",
            hint="Run: manage.py migrate",
        )
    if isinstance(error, ProgrammingError) and getattr(error.__cause__, "sqlstate", "") == "42501":
        return DatabaseRights(
            f"The database role of this process may not do that: {first_line}.",
            hint="Run it with DATABASE_URL naming the owner of the tables.",
        )
    if isinstance(error, OperationalError):
        return DatabaseUnavailable(
            f"The database could not do it: {first_line}.",
            hint="Is it running, and is there room on its disk?",
        )
    return GoldenError(
        f"The database refused: {first_line}.", hint="Run it again with --traceback to see where."
    )


def json_document(document: Any) -> str:
    """Return `document` as JSON text that ends with a line feed; times are ISO 8601, what is unknown is its text."""
    options = orjson.OPT_INDENT_2 | orjson.OPT_APPEND_NEWLINE | orjson.OPT_NON_STR_KEYS
    return orjson.dumps(document, default=str, option=options).decode()


def printable(text: str) -> str:
    """Return `text` without control characters: what comes out of data must not steer the reader's terminal."""
    if text.isprintable():
        return text
    return "".join(c if c.isprintable() or c in "\n\t" else f"\\x{ord(c):02x}" for c in text)


def _raise_usage(message: str) -> NoReturn:
    raise UsageError(message[:1].upper() + message[1:])


def _silent(done: int, total: int | None = None, *_: Any) -> None:
    """Report progress to nobody."""


def _plain(wrapper: Any) -> Any:
    """Return the stream in Django's OutputWrapper, which adds line ends and colours of its own."""
    return getattr(wrapper, "_out", wrapper)


def _os_user() -> str:
    try:
        return getpass.getuser()
    except (KeyError, OSError):
        return ""  # a container's user id without a name


def _discard_stdout() -> None:
    """Let the interpreter's last flush go nowhere instead of complaining again."""
    try:
        descriptor = sys.stdout.fileno()
    except (OSError, ValueError):
        return
    os.dup2(os.open(os.devnull, os.O_WRONLY), descriptor)


@contextmanager
def _terminated_like_interrupted() -> Iterator[None]:
    """Turn SIGTERM into an exception, so that temporary files are removed and transactions rolled back."""

    def leave(*_: Any) -> NoReturn:
        raise SystemExit(EXIT_TERMINATED)

    try:
        before = signal.signal(signal.SIGTERM, leave)
    except ValueError:  # not the main thread
        yield
        return
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)
