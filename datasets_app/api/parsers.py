"""How request bodies are read: the JSON that golden data may hold, within the limit of size."""

from __future__ import annotations

from collections.abc import Mapping
from typing import IO, Any

from django.conf import settings
from rest_framework.parsers import BaseParser, MultiPartParser

from datasets_app.api.errors import BodyTooLarge
from datasets_app.domain.strict_json import loads_strict


class StrictJsonParser(BaseParser):
    """JSON without NaN, NUL, lone surrogates, unsafe integers, duplicate keys or deep nesting.

    Raises InvalidJson, which names the path, and BodyTooLarge beyond DATA_UPLOAD_MAX_MEMORY_SIZE.
    """

    media_type = "application/json"

    def parse(
        self, stream: IO[Any], media_type: str | None = None, parser_context: Mapping[str, Any] | None = None
    ) -> Any:
        limit: int = settings.DATA_UPLOAD_MAX_MEMORY_SIZE
        request = (parser_context or {}).get("request")
        if request is not None:
            refuse_larger(request, limit)
        body = stream.read(limit + 1)
        if len(body) > limit:
            raise body_too_large(len(body), limit)
        return loads_strict(body)


class UploadParser(MultiPartParser):
    """multipart/form-data with a file, within GOLDEN_MAX_UPLOAD_BYTES."""

    def parse(
        self, stream: IO[Any], media_type: str | None = None, parser_context: Mapping[str, Any] | None = None
    ) -> Any:
        request = (parser_context or {}).get("request")
        if request is not None:
            refuse_larger(request, settings.GOLDEN_MAX_UPLOAD_BYTES)
        return super().parse(stream, media_type, parser_context)


def refuse_larger(request: Any, limit: int) -> None:
    """Raise BodyTooLarge when the request says that its body is larger than `limit` bytes."""
    declared = request.META.get("CONTENT_LENGTH") or "0"
    if str(declared).isdecimal() and int(declared) > limit:
        raise body_too_large(int(declared), limit)


def body_too_large(found: int, limit: int) -> BodyTooLarge:
    return BodyTooLarge(
        f"The request's body has {found:,} bytes or more; {limit:,} are allowed.",
        hint="Send it in several requests, or upload a file to imports.",
        limit=limit,
    )
