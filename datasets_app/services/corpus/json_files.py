"""JSON from files: lines one by one, or a whole document; what cannot be read is told with file and line."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, BinaryIO, Final

from datasets_app.domain.strict_json import loads_strict
from datasets_app.errors import InvalidJson, MalformedRow
from goldenproject.kit.errors import BadInput

MAX_LINE_BYTES: Final = 64 * 1024 * 1024
_BOM: Final = b"\xef\xbb\xbf"


def opened(path: Path) -> BinaryIO:
    """Open a file to read its bytes. Raises BadInput with the reason."""
    try:
        return path.open("rb")
    except OSError as error:
        raise BadInput(f"{path} cannot be read: {error.strerror}.") from error


def json_lines(path: Path) -> Iterator[tuple[str, dict[str, Any] | MalformedRow]]:
    """Yield each line's place ("FILE line 3") and its object, or what is wrong with it. Empty lines are passed over."""
    with opened(path) as file:
        number = 0
        while line := file.readline(MAX_LINE_BYTES + 1):
            number += 1
            place = f"{path.name} line {number}"
            if len(line) > MAX_LINE_BYTES:
                message = f"{place}: found more than {MAX_LINE_BYTES} bytes, expected shorter lines."
                yield place, MalformedRow(message, place=place)
                return
            stripped = (line.removeprefix(_BOM) if number == 1 else line).strip()
            if stripped:
                yield place, _parsed(stripped, place)


def _parsed(line: bytes, place: str) -> dict[str, Any] | MalformedRow:
    try:
        value = loads_strict(line)
    except InvalidJson as error:
        return MalformedRow(f"{place}: {error.message}", **{**error.details, "place": place})
    if isinstance(value, dict):
        return value
    return MalformedRow(f"{place}: found {type(value).__name__}, expected an object.", place=place)


def json_document(path: Path) -> Any:
    """Return the one document of a file, which is read whole. Raises MalformedRow."""
    with opened(path) as file:
        data = file.read().removeprefix(_BOM)
    try:
        return loads_strict(data)
    except InvalidJson as error:
        raise MalformedRow(f"{path.name}: {error.message}", **error.details) from error


class Tally:
    """Counts what was noticed of one kind, and names the first five places."""

    def __init__(self, sentence: Callable[[int], str]) -> None:
        self._sentence = sentence
        self._first: list[str] = []
        self.count = 0

    def add(self, place: str) -> None:
        self.count += 1
        if len(self._first) < 5:
            self._first.append(place)

    def warnings(self) -> list[str]:
        """Return the one sentence that tells of it; none when there was nothing."""
        if not self.count:
            return []
        more = "; …" if self.count > len(self._first) else ""
        return [f"{self._sentence(self.count)}: {'; '.join(self._first)}{more}."]
