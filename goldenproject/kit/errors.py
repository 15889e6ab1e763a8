"""The one base of every error that a user may meet, and how it is told.

An error class stands for one cause. Its docstring is the default message, `code` is stable (API clients and
scripts rely on it), `http_status` and `exit_code` say what the API and the commands answer.
"""

from __future__ import annotations

from typing import Any, ClassVar


class GoldenError(Exception):
    """Something went wrong with the golden data."""

    code: ClassVar[str] = "error"
    http_status: ClassVar[int] = 400
    exit_code: ClassVar[int] = 1

    def __init__(self, message: str | None = None, *, hint: str = "", **details: Any) -> None:
        self.message = message or (type(self).__doc__ or "").strip().splitlines()[0]
        self.hint = hint
        self.details = details
        super().__init__(self.message)

    def __str__(self) -> str:
        return f"{self.message} {self.hint}".strip()

    def as_dict(self) -> dict[str, Any]:
        """The one error shape: {"code", "message", "hint", "details"}."""
        return {"code": self.code, "message": self.message, "hint": self.hint, "details": self.details}


class BadInput(GoldenError):
    """The input is not acceptable."""

    code = "bad_input"


class NotFound(GoldenError):
    """What was asked for does not exist."""

    code = "not_found"
    http_status = 404


class Conflict(GoldenError):
    """The state of the data does not allow this now."""

    code = "conflict"
    http_status = 409


class Forbidden(GoldenError):
    """Your role does not allow this."""

    code = "forbidden"
    http_status = 403


class Unavailable(GoldenError):
    """The service cannot do this at the moment."""

    code = "unavailable"
    http_status = 503
