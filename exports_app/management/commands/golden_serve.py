"""Run everything on this machine: database, worker, web server."""

from __future__ import annotations

from typing import Any

from django.core.management.base import BaseCommand, CommandParser

from goldenproject.kit.errors import GoldenError


class Command(BaseCommand):
    help = (
        "Run the embedded database server, the worker and the web server until Ctrl-C. The first start makes an "
        "administrator, whose password is printed once, and demo data."
    )
    requires_system_checks: list[str] = []  # the web server and the worker check for themselves

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--bind", help="host:port; before GOLDEN_BIND and 127.0.0.1:8000")
        parser.add_argument("--no-demo", action="store_true", help="no demo data at the first start")

    def handle(self, *args: Any, bind: str | None, no_demo: bool, **options: Any) -> None:
        from dataclasses import replace

        from goldenproject.runner import ServeOptions, serve

        chosen = ServeOptions.from_environment()
        chosen = replace(chosen, bind=bind or chosen.bind, demo=chosen.demo and not no_demo)
        try:
            serve(chosen, say=self._say)
        except GoldenError as error:
            self.stderr.write(str(error))
            raise SystemExit(error.exit_code) from error

    def _say(self, line: str) -> None:
        self.stdout.write(line)
        self.stdout.flush()
