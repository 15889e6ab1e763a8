"""Roles at work: of a user everywhere (Django groups) and in one dataset (memberships).

A user's role in a dataset is the greatest of what the groups named after roles give everywhere and what memberships
give there. A superuser is an administrator. A new user has none, so may do nothing.
"""

from __future__ import annotations

from typing import Any

from django.contrib.auth.backends import BaseBackend
from django.db.models import QuerySet

from datasets_app.domain.roles import ALLOWED, Action, Role, roles_that_may, scopes_allow
from datasets_app.models import Dataset
from goldenproject.kit.database_io import prepared_cursor
from goldenproject.kit.errors import Forbidden

_RANK = {role: rank for rank, role in enumerate(Role)}
_CACHE = "_golden_roles"
# by hand, because every request asks for them: the mapper takes several times as long as the database
_GROUPS = (
    "SELECT g.id, g.name FROM auth_user_groups u JOIN auth_group g ON g.id = u.group_id WHERE u.user_id = %s"
)
_MEMBERSHIPS = "SELECT dataset_id, role FROM datasets_app_membership WHERE user_id = %s OR group_id = ANY(%s)"


def _roles_of(user: Any) -> tuple[Role | None, dict[Any, Role]]:
    """Return the user's role everywhere and by dataset id; read once per user object, that is per request."""
    cached = getattr(user, _CACHE, None)
    if cached is not None:
        return cached  # type: ignore[no-any-return]
    everywhere: Role | None = None
    by_dataset: dict[Any, Role] = {}
    if user.is_superuser:
        everywhere = Role.ADMINISTRATOR
    else:
        groups = _rows(_GROUPS, user.pk)
        for _, name in groups:
            if name in list(Role):  # Python 3.11 cannot look a plain string up in an enum
                everywhere = _greater(everywhere, Role(name))
        # no membership is greater than that of an administrator; and a restore holds that table for itself
        if everywhere != Role.ADMINISTRATOR:
            for dataset_id, role in _rows(_MEMBERSHIPS, user.pk, [pk for pk, _ in groups]):
                by_dataset[dataset_id] = _greater(by_dataset.get(dataset_id), Role(role))
    setattr(user, _CACHE, (everywhere, by_dataset))
    return everywhere, by_dataset


def _rows(statement: str, *values: Any) -> list[tuple[Any, ...]]:
    with prepared_cursor() as cursor:
        cursor.execute(statement, values)
        return list(cursor.fetchall())


def _greater(a: Role | None, b: Role) -> Role:
    return b if a is None or _RANK[b] > _RANK[a] else a


def role_in(user: Any, dataset: Dataset | None = None) -> Role | None:
    """Return the role of `user` in `dataset`, or everywhere when no dataset is given."""
    if user is None or not user.is_authenticated or not user.is_active:
        return None
    everywhere, by_dataset = _roles_of(user)
    if dataset is None or dataset.pk not in by_dataset:
        return everywhere
    return _greater(everywhere, by_dataset[dataset.pk])


def may(user: Any, action: Action, dataset: Dataset | None = None, *, token: Any = None) -> bool:
    """Tell whether `user` (through `token`, when there is one) may do `action` in `dataset`.

    Without a dataset it asks for the right everywhere.
    """
    if token is not None and not scopes_allow(token.scopes, action):
        return False
    role = role_in(user, dataset)
    return role is not None and action in ALLOWED[role]


def may_somewhere(user: Any, action: Action) -> bool:
    """Tell whether `user` may do `action` in any dataset at all: whether a menu entry makes sense."""
    if may(user, action):
        return True
    if user is None or not user.is_authenticated or not user.is_active:
        return False
    return any(action in ALLOWED[role] for role in _roles_of(user)[1].values())


def require(user: Any, action: Action, dataset: Dataset | None = None, *, token: Any = None) -> None:
    """Raise Forbidden, naming the roles that may, unless `may`."""
    if may(user, action, dataset, token=token):
        return
    names = ", ".join(role.title for role in Role if role in roles_that_may(action))
    where = f" in dataset “{dataset}”" if dataset is not None else ""
    if token is not None and not scopes_allow(token.scopes, action):
        raise Forbidden(f"This token's scopes {list(token.scopes)} do not allow “{action}”{where}.")
    raise Forbidden(f"You may not “{action}”{where}.", hint=f"Roles that may: {names}.")


def allowed_datasets(user: Any, action: Action = Action.VIEW) -> QuerySet[Dataset]:
    """Return the datasets in which `user` may do `action`."""
    if user is None or not user.is_authenticated or not user.is_active:
        return Dataset.objects.none()
    everywhere, by_dataset = _roles_of(user)
    if everywhere is not None and action in ALLOWED[everywhere]:
        return Dataset.objects.all()
    return Dataset.objects.filter(pk__in=[pk for pk, role in by_dataset.items() if action in ALLOWED[role]])


class MembershipBackend(BaseBackend):
    """Answers Django's own permission questions from the same roles, so that no admin page knows another rule."""

    def has_perm(self, user_obj: Any, perm: str, obj: Any = None) -> bool:
        app_label, _, name = perm.partition(".")
        if app_label not in ("datasets_app", "labeling_app", "exports_app"):
            return False
        verb = name.partition("_")[0]
        action = Action.VIEW if verb == "view" else Action.EDIT
        dataset = obj if isinstance(obj, Dataset) else getattr(obj, "dataset", None)
        if dataset is None and obj is None:
            return may_somewhere(user_obj, action)
        return may(user_obj, action, dataset)

    def has_module_perms(self, user_obj: Any, app_label: str) -> bool:
        return app_label in ("datasets_app", "labeling_app", "exports_app") and may_somewhere(
            user_obj, Action.VIEW
        )
