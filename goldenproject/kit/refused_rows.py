"""The report of rows that an import refused: a file of JSON lines that appears whole or not at all."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path
from typing import Any

import orjson

from goldenproject.kit.errors import BadInput

MOST_TOLD = 20


class RefusedRows:
    """Counts refused rows, keeps words on the first, and writes them below a temporary name beside `report_path`.

    A context: what was not published when it ends is gone. Without a path nothing is written. Raises BadInput when the
    folder of the report cannot be written to.
    """

    def __init__(self, report_path: str | os.PathLike[str] | None) -> None:
        self._path = None if report_path is None else Path(report_path)
        self._file: Any = None
        self.count = 0
        self.first: list[str] = []

    def __enter__(self) -> RefusedRows:
        if self._path is not None:
            try:
                self._file = tempfile.NamedTemporaryFile(
                    "wb", dir=self._path.parent, prefix=".refused-", delete=False
                )
            except OSError as error:
                raise BadInput(f"The report {self._path} cannot be written: {error.strerror}.") from error
        return self

    def __exit__(self, *_: object) -> None:
        if self._file is not None:
            self._file.close()
            Path(self._file.name).unlink(missing_ok=True)

    def add(self, sentence: str, row: dict[str, Any]) -> None:
        """Count a row: `sentence` for people, `row` as its line of the report."""
        self.count += 1
        if len(self.first) < MOST_TOLD:
            self.first.append(sentence)
        if self._file is not None:
            self._file.write(orjson.dumps(row) + b"\n")

    def publish(self) -> str | None:
        """Let the report appear under its name, if there is anything to report; return that name."""
        if self._file is None or not self.count or self._path is None:
            return None
        self._file.flush()
        os.fsync(self._file.fileno())
        os.replace(self._file.name, self._path)
        return os.fspath(self._path)
