"""The database backend: as Django's, but the first connection of a process starts the embedded server if need be."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from django.db.backends.postgresql import base, client


class DatabaseClient(client.DatabaseClient):
    """`manage.py dbshell` with the psql of the embedded package."""

    def runshell(self, parameters: Iterable[str]) -> None:
        from goldenproject.database import server_binary

        self.connection.get_connection_params()  # type: ignore[attr-defined]
        type(self).executable_name = str(server_binary("psql"))
        super().runshell(parameters)  # type: ignore[arg-type]


class DatabaseWrapper(base.DatabaseWrapper):
    """Connections to the embedded server when the settings have EMBEDDED, else to the server that they name."""

    client_class = DatabaseClient

    def get_connection_params(self) -> dict[str, Any]:
        embedded = self.settings_dict.get("EMBEDDED")
        if embedded:
            from goldenproject.embedded_server import ensure_running

            address = ensure_running(embedded["data_dir"], durable=embedded["durable"])
            # in the settings too, for what reads them there: pg_dump, psql, clones of the test database
            self.settings_dict.update(
                USER=address.user, PASSWORD=address.password, HOST=address.host, PORT=address.port
            )
        params: dict[str, Any] = super().get_connection_params()
        return params
