"""All that is wrong with a bulk save, told in one error."""

from __future__ import annotations

from typing import Any, Final

from goldenproject.kit.errors import GoldenError

SHOWN: Final = 20


class Refusals:
    """Collects errors: keeps the first twenty, counts all."""

    def __init__(self) -> None:
        self.first: list[tuple[str, GoldenError]] = []
        self.count = 0

    def add(self, place: str, error: GoldenError) -> None:
        self.count += 1
        if len(self.first) < SHOWN:
            self.first.append((place, error))

    def raise_any(self, outcome: str) -> None:
        """Raise what was collected, if anything: one error as it is, several as one of the first one's class.

        Its details name the first twenty: [{"place", "code", "message", …}] under `refused`, and their `count`.
        """
        if not self.first:
            return
        first = self.first[0][1]
        if self.count == 1:
            raise first
        lines = [f"  {error.message}" for _, error in self.first]
        if self.count > len(lines):
            lines.append(f"  … and {self.count - len(lines):,} more")
        message = "\n".join([f"{self.count:,} refusals. {outcome}", *lines])
        raise type(first)(
            message,
            hint=first.hint,
            count=self.count,
            refused=[_document(place, error) for place, error in self.first],
        )


def _document(place: str, error: GoldenError) -> dict[str, Any]:
    return {**error.details, "place": place, "code": error.code, "message": error.message}
