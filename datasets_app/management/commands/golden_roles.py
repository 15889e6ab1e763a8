"""golden_roles: print or apply the rights of the application's database role."""

from __future__ import annotations

from argparse import ArgumentParser
from typing import Any

from datasets_app.domain.roles import Action
from datasets_app.management.dataset_command import allow, line
from datasets_app.services.access.database_roles import apply_roles, roles_sql
from goldenproject.kit.commands import GoldenCommand, Outcome


class Command(GoldenCommand):
    help = (
        "Give the application a database role of its own, which cannot change what is append-only. Prints the SQL; "
        "--apply runs it. Run it as the owner of the tables, after each migration."
    )

    def add_command_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument(
            "--app-role",
            default="golden_app",
            metavar="ROLE",
            help="the application's role (default: golden_app)",
        )
        parser.add_argument("--apply", action="store_true", help="run the SQL in this database")

    def run(self, *, actor: Any, options: dict[str, Any]) -> Outcome:
        role = options["app_role"]
        sql = roles_sql(role)
        if not options["apply"]:
            return Outcome({"role": role, "applied": False, "sql": sql}, sql)
        allow(actor, Action.MANAGE, None)
        apply_roles(app_role=role)
        return Outcome(
            {"role": role, "applied": True},
            line(f"The role {role} has its rights; run this after each migration."),
        )
