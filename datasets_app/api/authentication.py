"""Who calls the API: a hashed token with scopes, or the browser's session."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from django.db.models import Q
from drf_spectacular.extensions import OpenApiAuthenticationExtension
from knox.auth import TokenAuthentication as KnoxTokenAuthentication
from rest_framework.exceptions import AuthenticationFailed
from rest_framework.request import Request

from datasets_app.models import ApiToken
from goldenproject.kit.clock import now

USE_IS_NOTED_EVERY = timedelta(minutes=1)


class TokenAuthentication(KnoxTokenAuthentication):
    """`Authorization: Token …`. `request.auth` is the ApiToken, whose scopes bound what its user may do."""

    def authenticate(self, request: Request) -> tuple[Any, ApiToken] | None:
        found = super().authenticate(request)
        if found is not None:
            _note_use(found[1])
        return found  # type: ignore[no-any-return]

    def authenticate_credentials(self, token: bytes) -> tuple[Any, ApiToken]:
        if not token.isascii() or b"\x00" in token:
            raise AuthenticationFailed("Invalid token.")
        return super().authenticate_credentials(token)  # type: ignore[no-any-return]


def _note_use(token: ApiToken) -> None:
    """Write the time of use at most once a minute, so that reading does not become writing."""
    moment = now()
    if token.last_used_at is not None and moment - token.last_used_at < USE_IS_NOTED_EVERY:
        return
    unnoted = Q(last_used_at=None) | Q(last_used_at__lte=moment - USE_IS_NOTED_EVERY)
    ApiToken.objects.filter(unnoted, pk=token.pk).update(last_used_at=moment)
    token.last_used_at = moment


class TokenScheme(OpenApiAuthenticationExtension):  # type: ignore[no-untyped-call]
    """How the schema describes tokens."""

    target_class = "datasets_app.api.authentication.TokenAuthentication"
    name = "token"

    def get_security_definition(self, auto_schema: Any) -> dict[str, str]:
        return {
            "type": "apiKey",
            "in": "header",
            "name": "Authorization",
            "description": "The word `Token`, a blank, and the token.",
        }
