"""Who may come in: API tokens, people and groups."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from django.contrib.auth.admin import GroupAdmin as DjangoGroupAdmin
from django.contrib.auth.admin import UserAdmin as DjangoUserAdmin
from django.contrib.auth.models import Group, User
from django.core.exceptions import PermissionDenied
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse, HttpResponseBase, HttpResponseRedirect
from django.urls import reverse
from knox.settings import knox_settings
from unfold.forms import AdminPasswordChangeForm, UserChangeForm, UserCreationForm

from datasets_app.domain.roles import SCOPES, Action, Role
from datasets_app.models import ApiToken
from datasets_app.services.access import may, record
from datasets_app.services.access.tokens import create_token, revoke_token
from goldenproject.kit.admin import ConsoleAdmin, ConsolePage
from goldenproject.kit.clock import now
from goldenproject.kit.errors import BadInput, Forbidden, NotFound

_ROLE_NAMES = {role.value for role in Role}
_SCOPE_MEANINGS = {
    "read": "read and export",
    "write": "edit, import, label and review",
    "version": "commit, merge, tag and release",
    "backup": "back up and restore",
    "admin": "everything that its user may",
}


# --- tokens -------------------------------------------------------------------------------------------------------
class TokensPage(ConsolePage):
    """A person's tokens, and for administrators everybody's. A new one is shown once and kept nowhere."""

    title = "API tokens"
    template_name = "datasets_app/access/tokens.html"

    def get_context_data(self, **kwargs: Any) -> dict[str, Any]:
        typed = self.request.POST
        return super().get_context_data(
            tokens=self._visible().select_related("user").order_by("-created"),
            scopes=[(scope, _SCOPE_MEANINGS[scope]) for scope in SCOPES],
            typed=typed,
            typed_scopes=typed.getlist("scopes") if typed else ["read"],
            days=typed.get("days") or str(knox_settings.TOKEN_TTL.days),
            sees_all=may(self.person, Action.MANAGE),
            now=now(),
            **kwargs,
        )

    def post(self, request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponseBase:
        if "revoke" in request.POST:
            return self._revoke(request.POST["revoke"])
        days = request.POST.get("days", "")
        if not days.isdecimal() or not 1 <= int(days) <= 3650:
            raise BadInput(f"Days: found “{days}”, expected a whole number from 1 to 3650.")
        token, secret = create_token(
            user=self.person,
            name=request.POST.get("name", ""),
            scopes=request.POST.getlist("scopes"),
            expires_in=timedelta(days=int(days)),
            actor=self.person,
        )
        # not after a redirect: the secret would have to be kept somewhere meanwhile
        response = self.render_to_response(self.get_context_data(secret=secret, made=token))
        response["Cache-Control"] = "no-store"
        return response

    def _revoke(self, token_key: str) -> HttpResponseBase:
        token = self._visible().filter(token_key=token_key).first()
        if token is None:
            raise NotFound("There is no such token.", hint="It may have been revoked already.")
        revoke_token(token=token, actor=self.person)
        return HttpResponseRedirect(self.request.path)

    def _visible(self) -> QuerySet[ApiToken]:
        tokens: QuerySet[ApiToken] = ApiToken.objects.all()
        return tokens if may(self.person, Action.MANAGE) else tokens.filter(user=self.person)


class ApiTokenAdmin(ConsoleAdmin):
    """Only the page of tokens; a token is never changed."""

    def has_view_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return obj is None  # everybody has the page of their own tokens

    def has_module_permission(self, request: HttpRequest) -> bool:
        return True

    def changelist_view(self, request: HttpRequest, extra_context: Any = None) -> HttpResponseBase:
        return TokensPage.as_view(model_admin=self)(request)  # type: ignore[no-any-return]

    def change_view(self, request: HttpRequest, object_id: str, *args: Any, **kwargs: Any) -> HttpResponse:
        return HttpResponseRedirect(reverse("admin:datasets_app_apitoken_changelist"))


# --- people -------------------------------------------------------------------------------------------------------
class _Managed(ConsoleAdmin):
    """For administrators of the whole installation only."""

    def has_module_permission(self, request: HttpRequest) -> bool:
        return may(request.user, Action.MANAGE)

    def has_view_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return may(request.user, Action.MANAGE)

    def has_add_permission(self, request: HttpRequest) -> bool:
        return may(request.user, Action.MANAGE)

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return may(request.user, Action.MANAGE)

    def save_model(self, request: HttpRequest, obj: Any, form: Any, change: bool) -> None:
        super().save_model(request, obj, form, change)
        record(request.user, f"{obj._meta.model_name}.save", None, f"{obj}: {', '.join(form.changed_data)}")


class UserAdmin(_Managed, DjangoUserAdmin):  # type: ignore[misc]
    """People are made inactive, not deleted: history names them. Only a superuser touches superusers."""

    form = UserChangeForm
    add_form = UserCreationForm
    change_password_form = AdminPasswordChangeForm
    list_display = ("username", "full_name", "roles", "is_active", "last_login")
    list_filter = ("is_active", "groups")
    filter_horizontal = ()
    compressed_fields = True
    fieldsets = (
        (None, {"fields": ("username", "password", "first_name", "last_name", "email")}),
        (
            "Role everywhere",
            {"fields": ("groups",), "description": "A role in one dataset is given among its members."},
        ),
        ("Access", {"fields": ("is_active", "is_staff", "is_superuser")}),
    )
    add_fieldsets = ((None, {"fields": ("username", "usable_password", "password1", "password2")}),)

    def get_queryset(self, request: HttpRequest) -> QuerySet[User]:
        return super().get_queryset(request).prefetch_related("groups")  # type: ignore[no-any-return]

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        if obj is not None and obj.is_superuser and not request.user.is_superuser:  # type: ignore[union-attr]
            return False
        return super().has_change_permission(request, obj)

    def get_readonly_fields(self, request: HttpRequest, obj: Any = None) -> tuple[str, ...]:
        return () if request.user.is_superuser else ("is_superuser",)  # type: ignore[union-attr]

    def full_name(self, user: User) -> str:
        return user.get_full_name() or "—"

    def roles(self, user: User) -> str:
        if user.is_superuser:
            return "Superuser"
        return (
            ", ".join(Role(g.name).title if g.name in _ROLE_NAMES else g.name for g in user.groups.all())
            or "—"
        )

    def save_model(self, request: HttpRequest, obj: Any, form: Any, change: bool) -> None:
        if obj.is_superuser and not request.user.is_superuser:  # type: ignore[union-attr]
            raise Forbidden("Only a superuser may touch a superuser.")
        if not change:
            obj.is_staff = True  # the console is what people are added for
        super().save_model(request, obj, form, change)

    def user_change_password(self, request: HttpRequest, id: str, form_url: str = "") -> Any:
        target = self.get_object(request, id)
        if target is not None and not self.has_change_permission(request, target):
            raise PermissionDenied("Only a superuser may touch a superuser.")
        return super().user_change_password(request, id, form_url)

    def log_change(self, request: HttpRequest, obj: Any, message: Any) -> None:  # type: ignore[override]
        record(request.user, "user.password" if "password" in str(message) else "user.save", None, str(obj))


class GroupAdmin(_Managed, DjangoGroupAdmin):  # type: ignore[misc]
    """Groups give a role everywhere when they are named after one, else a role where they are members."""

    fields = ("name",)
    filter_horizontal = ()
    list_display = ("name", "means")

    def means(self, group: Group) -> str:
        return (
            f"{Role(group.name).title} of every dataset"
            if group.name in _ROLE_NAMES
            else "a role where it is a member"
        )

    def get_readonly_fields(self, request: HttpRequest, obj: Any = None) -> tuple[str, ...]:
        return ("name",) if obj is not None and obj.name in _ROLE_NAMES else ()
