"""The one place where errors become answers: {"code", "message", "hint", "details"}, never 500 for bad input."""

from __future__ import annotations

import logging
from typing import Any

from django.core.exceptions import PermissionDenied, RequestDataTooBig, SuspiciousOperation
from django.db import DataError, IntegrityError, InterfaceError, OperationalError
from django.http import Http404
from rest_framework import exceptions
from rest_framework.response import Response
from rest_framework.views import set_rollback

from datasets_app.errors import InvalidJson
from goldenproject.kit.errors import BadInput, Conflict, GoldenError, NotFound, Unavailable

logger = logging.getLogger(__name__)

RETRY_AFTER_S = 1


class BodyTooLarge(BadInput):
    """The request is larger than allowed."""

    code = "too_large"
    http_status = 413


class PreconditionFailed(Conflict):
    """The example changed since you read it."""

    code = "precondition_failed"
    http_status = 412


class InvalidCursor(BadInput):
    """The cursor is not one that this list gave."""

    code = "invalid_cursor"


class InvalidRequest(BadInput):
    """The request does not have the form that this address takes."""

    code = "invalid_request"


_CODES = {
    400: "bad_input",
    401: "not_authenticated",
    403: "forbidden",
    404: "not_found",
    405: "method_not_allowed",
    413: "too_large",
    415: "unsupported_media_type",
    429: "throttled",
}


def exception_handler(error: Exception, context: dict[str, Any]) -> Response | None:
    """Turn what a view raised into an answer; None (Django's 500) only for what is a fault of ours."""
    set_rollback()
    if isinstance(error, GoldenError):
        return _answer(error.http_status, error.as_dict(), _retry_headers(error.http_status))
    if isinstance(error, exceptions.ValidationError):
        return _golden(_invalid(error))
    if isinstance(error, exceptions.APIException):
        return _of_framework(error)
    return _of_django(error)


def _of_framework(error: exceptions.APIException) -> Response:
    status = error.status_code
    headers: dict[str, str] = {}
    hint = ""
    challenge = getattr(error, "auth_header", None)
    if challenge:
        headers["WWW-Authenticate"] = challenge
        hint = "Send the header “Authorization: Token …”."
    wait_s = getattr(error, "wait", None)
    if wait_s is not None:
        headers["Retry-After"] = str(int(wait_s))
        hint = f"Try again in {int(wait_s)} s."
    body = {
        "code": _CODES.get(status, error.default_code),
        "message": str(error.detail),
        "hint": hint,
        "details": {},
    }
    return _answer(status, body, headers)


def _of_django(error: Exception) -> Response | None:
    if isinstance(error, Http404):
        return _golden(NotFound())
    if isinstance(error, PermissionDenied):
        return _answer(
            403, {"code": "forbidden", "message": str(error) or "Not allowed.", "hint": "", "details": {}}
        )
    if isinstance(error, RequestDataTooBig):
        return _golden(BodyTooLarge())
    if isinstance(error, SuspiciousOperation):
        return _golden(InvalidRequest(str(error)))
    if isinstance(error, OperationalError | InterfaceError):
        logger.error("The database did not answer: %s", error)
        return _golden(
            Unavailable("The database cannot do this at the moment.", hint="Try again in a moment.")
        )
    if isinstance(error, DataError):
        return _golden(BadInput("A value does not fit the database.", hint=str(error).splitlines()[0]))
    if isinstance(error, IntegrityError):
        logger.warning("A constraint refused what no service had refused: %s", error)
        return _golden(
            Conflict("The state of the data does not allow this.", hint=str(error).splitlines()[0])
        )
    return None


def _golden(error: GoldenError) -> Response:
    return _answer(error.http_status, error.as_dict(), _retry_headers(error.http_status))


def _retry_headers(status: int) -> dict[str, str]:
    return {"Retry-After": str(RETRY_AFTER_S)} if status == 503 else {}


def _answer(status: int, body: dict[str, Any], headers: dict[str, str] | None = None) -> Response:
    return Response(body, status=status, headers=headers)


def _invalid(error: exceptions.ValidationError) -> InvalidRequest:
    fields = list(_field_errors(error.detail, "$"))
    first = fields[0] if fields else {"path": "$", "message": "invalid"}
    more = f" (and {len(fields) - 1} more)" if len(fields) > 1 else ""
    return InvalidRequest(f"{first['path']}: {first['message']}{more}", fields=fields)


def _field_errors(detail: Any, path: str) -> list[dict[str, str]]:
    """Flatten the framework's nested errors into [{"path": "$.a[0].b", "message": …}]."""
    if isinstance(detail, dict):
        found = []
        for key, value in detail.items():
            here = (
                path
                if key == "non_field_errors"
                else f"{path}[{key}]"
                if isinstance(key, int)
                else f"{path}.{key}"
            )
            found += _field_errors(value, here)
        return found
    if isinstance(detail, list):
        if any(isinstance(item, dict | list) for item in detail):
            return [e for i, item in enumerate(detail) if item for e in _field_errors(item, f"{path}[{i}]")]
        return [{"path": path, "message": str(item)} for item in detail]
    return [{"path": path, "message": str(detail)}]


def check_text(text: str, where: str) -> None:
    """Raise InvalidJson for what no text of golden data may hold, before it reaches the database."""
    if "\x00" in text:
        raise InvalidJson(f"{where}: found NUL (U+0000), expected text without it.", path=where)
    if not text.isascii() and any("\ud800" <= character <= "\udfff" for character in text):
        raise InvalidJson(f"{where}: found a lone surrogate, expected whole Unicode characters.", path=where)
