"""The roles of a team and what each may do; one table that rules the admin, the API and the jobs."""

from __future__ import annotations

from enum import StrEnum


class Role(StrEnum):
    VIEWER = "viewer"
    LABELER = "labeler"
    REVIEWER = "reviewer"
    CURATOR = "curator"
    RELEASE_MANAGER = "release_manager"
    ADMINISTRATOR = "administrator"

    @property
    def title(self) -> str:  # type: ignore[override]
        return self.value.replace("_", " ").capitalize()


class Action(StrEnum):
    """What can be allowed. `view` covers reading and exporting."""

    VIEW = "view"
    LABEL = "label"
    REVIEW = "review"
    EDIT = "edit"
    IMPORT = "import"
    COMMIT = "commit"
    MERGE = "merge"
    TAG = "tag"
    RELEASE = "release"
    BACKUP = "backup"
    RESTORE = "restore"
    REDACT = "redact"
    MANAGE = "manage"


_VIEWER = frozenset({Action.VIEW})
_LABELER = frozenset({Action.LABEL})
_REVIEWER = _VIEWER | _LABELER | {Action.REVIEW}
_CURATOR = _REVIEWER | {Action.EDIT, Action.IMPORT, Action.COMMIT, Action.MERGE, Action.TAG}
_RELEASE_MANAGER = _CURATOR | {Action.RELEASE, Action.BACKUP}
_ADMINISTRATOR = _RELEASE_MANAGER | {Action.RESTORE, Action.REDACT, Action.MANAGE}

ALLOWED: dict[Role, frozenset[Action]] = {
    Role.VIEWER: _VIEWER,
    Role.LABELER: _LABELER,
    Role.REVIEWER: _REVIEWER,
    Role.CURATOR: _CURATOR,
    Role.RELEASE_MANAGER: _RELEASE_MANAGER,
    Role.ADMINISTRATOR: _ADMINISTRATOR,
}

SCOPES: dict[str, frozenset[Action]] = {
    "read": frozenset({Action.VIEW}),
    "write": frozenset({Action.EDIT, Action.IMPORT, Action.LABEL, Action.REVIEW}),
    "version": frozenset({Action.COMMIT, Action.MERGE, Action.TAG, Action.RELEASE}),
    "backup": frozenset({Action.BACKUP, Action.RESTORE}),
    "admin": frozenset(Action),
}


def allowed(role: Role, action: Action) -> bool:
    return action in ALLOWED[role]


def roles_that_may(action: Action) -> frozenset[Role]:
    return frozenset(role for role in Role if action in ALLOWED[role])


def scopes_allow(scopes: list[str], action: Action) -> bool:
    """Tell whether a token with `scopes` may be used for `action`; a token without scopes may do nothing."""
    return any(action in SCOPES.get(scope, frozenset()) for scope in scopes)
