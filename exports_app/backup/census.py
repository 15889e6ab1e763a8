"""What one pass over the analyses of a backup finds: counts, ids that occur twice, URLs, and their checksums.

Ids are packed into arrays (20 bytes a chunk, about 60 an analysis), so that a million chunks need 20 MB.
"""

from __future__ import annotations

import hashlib
import re
import uuid
from array import array
from binascii import crc32
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import orjson

from datasets_app.domain.url_contract import canonical_url, same_source_as, violation
from datasets_app.errors import InvalidAnalysis
from datasets_app.services.corpus.drafts import AnalysisDraft, parse_analysis
from datasets_app.services.corpus.url_rules import url_rules
from exports_app.errors import DamagedBackup, InvalidBackup

if TYPE_CHECKING:
    import numpy as np

_ID_BYTES = 16
MAX_NAMED = 1000
# as `analyses.rendered` writes the first keys; no line feed stands inside a string of JSON
_HEAD = re.compile(
    rb'\{\n      "id": "([0-9a-f-]{36})",\n      "url": .*\n      "content_type": .*\n      "status": "([a-z]+)",\n'
)


def parsed_document(document: Any, place: str) -> AnalysisDraft:
    """Return the draft of an analysis. Raises InvalidBackup with place, field, found and expected.

    What an artifact holds passes as it is, numbers beyond those of forms and imports too: whatever a database held
    comes back. The draft has nothing of it (see `analyses.exact_artifact`).
    """
    artifact = document.get("artifact") if isinstance(document, dict) else None
    if isinstance(artifact, dict):
        emptied = {name: type(value)() for name, value in artifact.items() if isinstance(value, dict | list)}
        document = {**document, "artifact": {**artifact, **emptied}}
    try:
        return parse_analysis(document, place)
    except InvalidAnalysis as error:
        raise InvalidBackup(error.message, hint=error.hint) from error


class Ids:
    """UUIDs in the order in which they came, each with the number of the document it came from."""

    def __init__(self) -> None:
        self._packed = bytearray()
        self._owners = array("I")

    def __len__(self) -> int:
        return len(self._owners)

    def add(self, value: uuid.UUID | bytes, owner: int) -> None:
        self._packed += value if isinstance(value, bytes) else value.bytes
        self._owners.append(owner)

    def array(self) -> np.ndarray:
        import numpy as np

        return np.frombuffer(self._packed, dtype=f"S{_ID_BYTES}")

    def owner(self, number: int) -> int:
        return self._owners[number]

    def repeated(self) -> Iterator[tuple[bytes, int, int]]:
        """Yield each id that occurs again with its owner then and its first owner, in the order of ids."""
        found = self.array()
        order = found.argsort(kind="stable")
        ordered = found[order]
        first = last = -2
        for at in map(int, (ordered[1:] == ordered[:-1]).nonzero()[0]):
            if at != last + 1:
                first = int(order[at])
            last = at
            again = int(order[at + 1])
            yield self.at(again), self.owner(again), self.owner(first)

    def at(self, number: int) -> bytes:
        return bytes(self._packed[number * _ID_BYTES : (number + 1) * _ID_BYTES])

    def missing(self, wanted: Ids) -> Iterator[tuple[bytes, int]]:
        """Yield what of `wanted` is not here, with its owner."""
        import numpy as np

        for number in map(int, (~np.isin(wanted.array(), self.array())).nonzero()[0]):
            yield wanted.at(number), wanted.owner(number)


class Census:
    """Takes the analyses of a backup one by one; `finish` tells what only the whole shows."""

    def __init__(self) -> None:
        self.completed = self.chunks = self.artifacts = self.not_completed = self.empty_chunks = 0
        self.findings: list[str] = []
        self._unnamed = 0
        self.analysis_ids, self.chunk_ids, self._artifact_ids = Ids(), Ids(), Ids()
        self._crcs = array("I")
        self._golden = bytearray()
        self._urls = Ids()
        self._rules = url_rules()
        self._lists: list[tuple[str, int]] = []

    @property
    def analyses(self) -> int:
        return len(self.analysis_ids)

    @property
    def all_artifacts(self) -> int:
        return len(self._artifact_ids)

    def begin(self, name: str) -> None:
        """Say that what comes now stands in the list `name`."""
        self._lists.append((name, self.analyses))

    def add(self, document: Any, place: str) -> None:
        """Count a document and look at it; its text goes to `add_text`. Raises InvalidBackup (wrong fields)."""
        draft = parsed_document(document, place)
        assert draft.id is not None
        number = self.analyses
        self.analysis_ids.add(draft.id, number)
        for chunk in draft.chunks:
            assert chunk.id is not None
            self.chunk_ids.add(chunk.id, number)
        if draft.artifact is not None and draft.artifact.id is not None:
            self._artifact_ids.add(draft.artifact.id, number)
        self._count(draft)
        self._look_at_url(draft, number)

    def add_trusted(self, record: bytes) -> bool:
        """Take id and status of a document of our own layout, nothing else; False when it is of another one."""
        match = _HEAD.match(record)
        if match is None:
            return False
        self.analysis_ids.add(uuid.UUID(match[1].decode()), self.analyses)
        self._golden.append(match[2] == b"completed")
        return True

    def add_text(self, record: bytes) -> None:
        """Keep the checksum of the document that was added last."""
        self._crcs.append(crc32(record))

    def _count(self, draft: AnalysisDraft) -> None:
        self._golden.append(draft.status == "completed")
        if draft.status == "completed":
            self.completed += 1
            self.chunks += len(draft.chunks)
            self.empty_chunks += sum(not chunk.content.strip() for chunk in draft.chunks)
            self.artifacts += draft.artifact is not None
        else:
            self.not_completed += 1

    def _look_at_url(self, draft: AnalysisDraft, number: int) -> None:
        reason = violation(draft.url, self._rules)
        if reason:
            self.find(f"analysis {draft.id}: the URL {draft.url} breaks the contract: {reason}")
            return
        digest = hashlib.blake2b(canonical_url(draft.url).encode(), digest_size=_ID_BYTES).digest()
        self._urls.add(digest, number)

    def find(self, text: str) -> None:
        """Keep a finding; beyond the first thousand they are counted."""
        if len(self.findings) < MAX_NAMED:
            self.findings.append(text)
        else:
            self._unnamed += 1

    def name_of(self, number: int) -> uuid.UUID:
        return uuid.UUID(bytes=self.analysis_ids.at(number))

    def refuse_repeated(self, main: object) -> None:
        """Raise InvalidBackup when an id occurs twice."""
        for what, ids in (
            ("", self.analysis_ids),
            ("chunk ", self.chunk_ids),
            ("artifact ", self._artifact_ids),
        ):
            for name, number, _ in ids.repeated():
                raise InvalidBackup(
                    f"{main}: {self.place(number)}: duplicate record: {what}id {uuid.UUID(bytes=name)} occurs twice."
                )

    def place(self, number: int) -> str:
        """Say where the analysis with this number stands."""
        name, start = next((n, s) for n, s in reversed(self._lists) if s <= number)
        return f"{name}[{number - start}]"

    def check_details(self, lines: Iterator[bytes]) -> None:
        """Compare with the details of the analyses: checksums, and URLs that are there twice in a corpus.

        `lines` is empty in a file of another tool. Raises DamagedBackup.
        """
        import numpy as np

        ids = self.analysis_ids.array()
        order = ids.argsort()
        corpora = np.zeros(len(ids), dtype=np.uint32)
        known: dict[str, int] = {}
        at = 0
        for line in lines:
            detail = orjson.loads(line)
            packed = uuid.UUID(detail["id"]).bytes
            while at < len(order) and self.analysis_ids.at(order[at]) < packed:
                at += 1
            if at >= len(order) or self.analysis_ids.at(order[at]) != packed:
                self.find(f"analysis {detail['id']}: its details are there, and it is not")
                continue
            number = int(order[at])
            corpora[number] = known.setdefault(detail["corpus_id"], len(known) + 1)
            crc = detail["analysis_crc32"]
            if crc is not None and crc != f"{self._crcs[number]:08x}":
                raise DamagedBackup(
                    f"Analysis {detail['id']} does not match its checksum.",
                    hint="The file was truncated or changed. Use another copy of the backup.",
                )
        self._look_at_repeated_urls(corpora)

    def _look_at_repeated_urls(self, corpora: np.ndarray) -> None:
        for _, again, first in self._urls.repeated():
            if corpora[again] == corpora[first]:
                self.find(
                    f"analysis {self.name_of(again)}: the URL breaks the contract: "
                    f"{same_source_as(self.name_of(first))}"
                )

    def golden(self) -> tuple[np.ndarray, np.ndarray]:
        """Return the ids of the completed analyses in their order, and the checksum of each."""
        import numpy as np

        chosen = np.frombuffer(self._golden, dtype=bool)
        ids, crcs = self.analysis_ids.array()[chosen], np.array(self._crcs, dtype=np.uint32)[chosen]
        order = ids.argsort()
        return ids[order], crcs[order]

    def check_expected(self, lines: Iterator[bytes], queries: Ids) -> None:
        """Find the expected chunks, and the queries that expect them, which the backup does not hold."""
        wanted, asking = Ids(), Ids()
        for number, line in enumerate(lines):
            fields = orjson.loads(line)
            wanted.add(uuid.UUID(fields["chunk_id"]), number)
            asking.add(uuid.UUID(fields["query_id"]), number)
        for chunk, number in self.chunk_ids.missing(wanted):
            query = uuid.UUID(bytes=asking.at(number))
            self.find(f"test query {query}: expects chunk {uuid.UUID(bytes=chunk)}, which is missing")
        for query_id, _ in queries.missing(asking):
            self.find(
                f"an expected chunk belongs to test query {uuid.UUID(bytes=query_id)}, which is missing"
            )

    def all_findings(self) -> list[str]:
        return [*self.findings, *([f"… and {self._unnamed} more"] if self._unnamed else [])]
