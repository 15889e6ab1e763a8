"""How often one may call: counted by token, else by user, else by address; the rates are settings."""

from __future__ import annotations

from typing import Any

from rest_framework.request import Request
from rest_framework.settings import api_settings
from rest_framework.throttling import SimpleRateThrottle

from datasets_app.models import ApiToken


class CallerThrottle(SimpleRateThrottle):
    """The rate `user` for those who are known, `anon` for others."""

    def __init__(self) -> None:
        """The rate is known only with the request."""

    def scope_of(self, request: Request, view: Any) -> str | None:
        return "user" if request.user and request.user.is_authenticated else "anon"

    def allow_request(self, request: Request, view: Any) -> bool:
        self.scope = self.scope_of(request, view)
        rates: dict[str, str | None] = api_settings.DEFAULT_THROTTLE_RATES  # type: ignore[assignment]
        self.rate = rates.get(self.scope) if self.scope else None
        if not self.rate:
            return True
        self.num_requests, self.duration = self.parse_rate(self.rate)
        return super().allow_request(request, view)

    def get_cache_key(self, request: Request, view: Any) -> str:
        if isinstance(request.auth, ApiToken):
            caller = f"token:{request.auth.digest[:32]}"
        elif request.user and request.user.is_authenticated:
            caller = f"user:{request.user.pk}"
        else:
            caller = f"address:{self.get_ident(request)}"
        return f"throttle:{self.scope}:{caller}"


class WorkThrottle(CallerThrottle):
    """A second rate for what costs more: `write`, `bulk` or `stream`, as the view says for the method."""

    def scope_of(self, request: Request, view: Any) -> str | None:
        scope: str | None = getattr(view, "throttle_scope", None)
        if scope is not None:
            return scope
        return None if request.method in ("GET", "HEAD", "OPTIONS") else "write"
