"""How answers are written: JSON by orjson, whatever the client says it accepts."""

from __future__ import annotations

import json
from collections.abc import Iterable
from typing import Any

import orjson
from rest_framework.negotiation import BaseContentNegotiation
from rest_framework.parsers import BaseParser
from rest_framework.renderers import BaseRenderer
from rest_framework.request import Request


class OrjsonRenderer(BaseRenderer):
    """UTF-8 JSON; dates as RFC 3339, UUIDs and decimals as strings."""

    media_type = "application/json"
    format = "json"
    charset = None

    def render(
        self, data: Any, accepted_media_type: str | None = None, renderer_context: Any = None
    ) -> bytes:
        if data is None:
            return b""
        try:
            return orjson.dumps(data, default=str, option=orjson.OPT_UTC_Z | orjson.OPT_NON_STR_KEYS)
        except TypeError:  # a lone surrogate or an integer beyond 64 bits, such as an error message may quote
            return json.dumps(data, default=str).encode()


class NdjsonRenderer(BaseRenderer):
    """Names the media type of the streamed answers for the schema; their views write the lines themselves."""

    media_type = "application/x-ndjson"
    format = "ndjson"
    charset = None


class FirstOfEach(BaseContentNegotiation):
    """Take the parser that fits the request and always the first renderer: errors stay JSON, nothing is 406."""

    def select_parser(self, request: Request, parsers: Iterable[BaseParser]) -> BaseParser | None:
        kind = (request.content_type or "").partition(";")[0].strip().lower()
        return next((parser for parser in parsers if parser.media_type == kind), None)

    def select_renderer(
        self, request: Request, renderers: Iterable[BaseRenderer], format_suffix: str | None = None
    ) -> tuple[BaseRenderer, str]:
        first = next(iter(renderers))
        return first, first.media_type or ""
