"""API tokens: made with scopes and an expiry, shown once, revoked."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import timedelta
from typing import Any

from knox.settings import knox_settings

from datasets_app.domain.roles import SCOPES
from datasets_app.models import ApiToken
from datasets_app.services.access.auditing import record
from goldenproject.kit.audit import acting
from goldenproject.kit.clock import now
from goldenproject.kit.errors import BadInput, Conflict

LONGEST = timedelta(days=3650)


def create_token(
    *, user: Any, name: str, scopes: Iterable[str], actor: Any, expires_in: timedelta | None = None
) -> tuple[ApiToken, str]:
    """Make a token of `user` and return it with its secret, which is kept nowhere.

    `expires_in` is by default the setting TOKEN_TTL, at the most ten years. Raises BadInput for an unknown scope,
    none at all, or no name; Conflict when the user has as many tokens as one may have.
    """
    wanted = sorted(set(scopes))
    unknown = [scope for scope in wanted if scope not in SCOPES]
    if unknown or not wanted:
        raise BadInput(f"Scopes: found {unknown or 'none'}, expected one or more of {', '.join(SCOPES)}.")
    if not name.strip() or len(name) > 120 or "\x00" in name:
        raise BadInput("A token needs a name of 1 to 120 characters, so that one knows later what it is for.")
    lifetime = expires_in or knox_settings.TOKEN_TTL
    if not timedelta(0) < lifetime <= LONGEST:
        raise BadInput(f"A token lives at the most {LONGEST.days} days.")
    with acting(actor, f"token {name}"):
        limit = knox_settings.TOKEN_LIMIT_PER_USER
        if limit is not None and user.auth_token_set.filter(expiry__gt=now()).count() >= limit:
            raise Conflict(
                f"{user} has {limit} tokens, which is as many as one may have.", hint="Revoke some first."
            )
        token, secret = ApiToken.objects.create(user=user, expiry=lifetime, name=name.strip(), scopes=wanted)
        record(actor, "token.create", None, f"{token.name} of {user}", scopes=wanted)
    return token, secret


def revoke_token(*, token: ApiToken, actor: Any) -> None:
    """Make a token useless at once."""
    with acting(actor, f"revoke token {token}"):
        record(actor, "token.revoke", None, f"{token} of {token.user}")
        token.delete()
