"""The analyses of a backup: the exact documents of format 1.0, pretty-printed so that git shows the changed line.

Findings, chunks and artifact lie inside their analysis. What format 1.0 has no place for (corpus, ids and places of
findings, the checksum of the analysis) is in the section “analysis_details”, a line each.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from typing import Any

import orjson

from goldenproject.kit.database_io import stream

COMPLETED = "analyses"
NOT_COMPLETED = "analyses_not_completed"
DOCUMENTS = (COMPLETED, NOT_COMPLETED)
ANALYSIS_KEYS = ("id", "url", "content_type", "status", "created_at", "findings", "chunks", "artifact")
DETAILS = "analysis_details"
DETAIL_KEYS = (
    "id",
    "corpus_id",
    "status",
    "url_violation",
    "finding_ids",
    "finding_positions",
    "analysis_crc32",
)

# Tables whose rows are in the documents, and their columns that are made anew or follow from the place.
IN_DOCUMENTS = ("Analysis", "Finding", "Chunk", "Artifact")
NOT_IN_DOCUMENTS = {
    "Analysis": ("canonical_url",),
    "Finding": ("analysis_id",),
    "Chunk": ("analysis_id", "content_hash"),
    "Artifact": ("analysis_id",),
}

_ROWS_AT_ONCE = 50
_INDENT = b"\n    "
_ARTIFACT = _INDENT + b'  "artifact": {'

_TIME = (
    "replace(to_char({} AT TIME ZONE 'UTC', 'YYYY-MM-DD\"T\"HH24:MI:SS.US') || 'Z', '.000000Z', 'Z')".format(
        "t.created_at"
    )
)
# Three look-ups by index for each analysis, in the order of the index analysis_order: rows stream from the first on.
_DOCUMENTS = f"""
    SELECT t.id::text, t.url, t.content_type, t.status, {_TIME},
           (SELECT json_agg(json_build_object('agent', f.agent, 'category', f.category, 'content', f.content,
                                              'confidence', f.confidence) ORDER BY f.position)::text
              FROM datasets_app_finding f WHERE f.analysis_id = t.id),
           (SELECT json_agg(json_build_object('id', c.id, 'content', c.content, 'section_title', c.section_title,
                                              'section_path', c.section_path, 'content_type', c.content_type,
                                              'chunk_index', c.chunk_index) ORDER BY c.chunk_index)::text
              FROM datasets_app_chunk c WHERE c.analysis_id = t.id),
           (SELECT json_build_object('id', a.id, 'summary', a.summary, 'key_findings', a.key_findings,
                                     'metadata', a.metadata)::text
              FROM datasets_app_artifact a WHERE a.analysis_id = t.id)
      FROM datasets_app_analysis t WHERE {{where}} ORDER BY t.created_at, t.id
"""
_WHERE = {COMPLETED: "t.status = 'completed'", NOT_COMPLETED: "t.status <> 'completed'"}

DETAILS_SQL = """
    SELECT row_to_json(s)::text FROM (
        SELECT t.id, t.corpus_id, t.status, t.url_violation,
               coalesce(f.ids, '{}') AS finding_ids, coalesce(f.positions, '{}') AS finding_positions
          FROM datasets_app_analysis t
          LEFT JOIN (SELECT analysis_id, array_agg(id ORDER BY position) AS ids,
                            array_agg(position ORDER BY position) AS positions
                       FROM datasets_app_finding GROUP BY analysis_id) f ON f.analysis_id = t.id
         ORDER BY t.id) s
"""
TOTALS_SQL = """
    SELECT count(*) FILTER (WHERE completed), coalesce(sum(chunks) FILTER (WHERE completed), 0)::bigint,
           coalesce(sum(artifacts) FILTER (WHERE completed), 0)::bigint, count(*)
      FROM (SELECT t.status = 'completed' AS completed, coalesce(c.n, 0) AS chunks, coalesce(a.n, 0) AS artifacts
              FROM datasets_app_analysis t
              LEFT JOIN (SELECT analysis_id, count(*) AS n FROM datasets_app_chunk GROUP BY 1) c ON c.analysis_id = t.id
              LEFT JOIN (SELECT analysis_id, count(*) AS n FROM datasets_app_artifact GROUP BY 1) a
                     ON a.analysis_id = t.id) s
"""


def documents(name: str) -> Iterator[tuple[bytes, bytes]]:
    """Yield (the UUID's 16 bytes, the rendered document) of each analysis of `name`, by created_at and id.

    Must run inside the snapshot's transaction; memory does not grow with the data.
    """
    for rows in stream(_DOCUMENTS.format(where=_WHERE[name]), chunk_rows=_ROWS_AT_ONCE):
        for row in rows:
            yield bytes.fromhex(row[0].replace("-", "")), _rendered_row(row)


def _rendered_row(row: Sequence[Any]) -> bytes:
    findings = orjson.loads(row[5]) if row[5] else []
    for finding in findings:
        finding["confidence"] = float(
            finding["confidence"]
        )  # 1.0, as Python's tools write it, where SQL says 1
    return rendered(
        {
            "id": row[0],
            "url": row[1],
            "content_type": row[2],
            "status": row[3],
            "created_at": row[4],
            "findings": findings,
            "chunks": orjson.loads(row[6]) if row[6] else [],
            "artifact": exact(row[7]) if row[7] else None,
        }
    )


def exact(text: str | bytes) -> Any:
    """Return what a JSON text says with each number as it is written, however large or fine; for orjson.dumps."""
    return json.loads(text, parse_float=_as_written, parse_int=_as_written)


def _as_written(number: str) -> orjson.Fragment:
    return orjson.Fragment(number)


def rendered(document: dict[str, Any]) -> bytes:
    """Return a document as it stands in the main file: json.dumps(indent=2, ensure_ascii=False) at this depth."""
    return orjson.dumps(document, option=orjson.OPT_INDENT_2).replace(b"\n", _INDENT)


def exact_artifact(record: bytes) -> dict[str, Any] | None:
    """Return the artifact of a rendered document with its numbers as they are written; None when it has none.

    A line feed cannot stand inside a JSON string, so the line that opens the artifact is what it seems to be.
    """
    at = record.rfind(_ARTIFACT)
    if at < 0:
        return None
    start = at + len(_ARTIFACT) - 1
    text = record[start : record.rindex(b"}")]
    found: dict[str, Any] = exact(text)
    return found
