"""The statements of `bulk_analyses`, in the order in which they run.

Staged rows name their analysis by its number (`line`), since the id of one that is found by its URL is known last.
The statements join whole tables by hash or, for few rows, by the primary keys and the (analysis, …) unique indexes.
"""

from __future__ import annotations

from typing import Final

_TABLES: Final = {
    "analysis": 'line bigint, id uuid, has_id boolean, place text, url text, canonical_url text COLLATE "C", '
    "content_type text, status text, created_at timestamptz",
    "finding": "line bigint, position integer, agent text, category text, content text, confidence float8",
    "chunk": "line bigint, number bigint, id uuid, has_id boolean, chunk_index integer, section_title text, "
    'section_path text COLLATE "C", content_type text, content text',
    "artifact": "line bigint, id uuid, has_id boolean, summary text, key_findings text, metadata text",
}
_FLAGS: Final = {
    "analysis": ", is_known boolean DEFAULT false, is_changed boolean DEFAULT false",
    "chunk": ", is_known boolean DEFAULT false",
}


def _columns(table: str) -> list[tuple[str, str]]:
    return [(part.split()[0], part.split()[1]) for part in _TABLES[table].split(", ")]


CREATE: Final = [
    statement
    for table, columns in _TABLES.items()
    for statement in (
        f"DROP TABLE IF EXISTS golden_new_{table}",
        f"CREATE TEMP TABLE golden_new_{table} ({columns}{_FLAGS.get(table, '')}) ON COMMIT DROP",
    )
]
# The sets are joined and sorted whole: with the usual few megabytes each of them would go through files.
WORK_MEMORY: Final = "SELECT set_config('work_mem', '64MB', true)"
_BINARY_TYPES: Final = {"bigint": "int8", "integer": "int4", "boolean": "bool"}
COPIES: Final = {
    table: (
        f"COPY golden_new_{table} ({', '.join(name for name, _ in _columns(table))}) FROM STDIN (FORMAT BINARY)",
        [_BINARY_TYPES.get(kind, kind) for _, kind in _columns(table)],
    )
    for table in _TABLES
}
ANALYZE: Final = "ANALYZE " + ", ".join(f"golden_new_{table}" for table in _TABLES)

# --- which analyses are there already -----------------------------------------------------------------------------
FIND_KNOWN: Final = """
    UPDATE golden_new_analysis n SET is_known = true FROM datasets_app_analysis a WHERE n.has_id AND a.id = n.id
"""
# One that came without an id is the one that has its URL.
FIND_BY_URL: Final = """
    UPDATE golden_new_analysis n SET is_known = true, id = a.id
      FROM datasets_app_analysis a
     WHERE NOT n.has_id AND a.corpus_id = %s AND a.canonical_url = n.canonical_url AND a.url_violation = ''
"""

# --- what is wrong: place, what was found, what stands against it, how many in all, line ----------------------------
FIRST: Final = " ORDER BY 5 LIMIT 20"
_TWICE: Final = """
    SELECT place, {what}, first_place, count(*) OVER (), line FROM (
        SELECT n.line, n.place, n.{what}, first_value(n.place) OVER w AS first_place, row_number() OVER w AS nth
          FROM golden_new_analysis n {where} WINDOW w AS (PARTITION BY n.{key} ORDER BY n.line)) numbered
     WHERE nth > 1
"""
IDS_TWICE: Final = _TWICE.format(what="id", key="id", where="WHERE n.has_id")
URLS_TWICE: Final = _TWICE.format(what="url", key="canonical_url", where="")
IDS_ELSEWHERE: Final = """
    SELECT n.place, n.id, c.name, count(*) OVER (), n.line
      FROM golden_new_analysis n JOIN datasets_app_analysis a ON a.id = n.id
      JOIN datasets_app_corpus c ON c.id = a.corpus_id
     WHERE n.is_known AND a.corpus_id <> %s
"""
URLS_TAKEN: Final = """
    SELECT n.place, n.url, a.id, count(*) OVER (), n.line
      FROM golden_new_analysis n JOIN datasets_app_analysis a ON a.canonical_url = n.canonical_url
     WHERE a.corpus_id = %s AND a.url_violation = '' AND a.id <> n.id
"""
KNOWN: Final = "SELECT place, id, url, count(*) OVER (), line FROM golden_new_analysis WHERE is_known"
SKIP_PARTS: Final = """
    DELETE FROM golden_new_{table} p USING golden_new_analysis n WHERE n.line = p.line AND n.is_known
"""
SKIP_ANALYSES: Final = "DELETE FROM golden_new_analysis WHERE is_known"

# --- which chunks are there already ---------------------------------------------------------------------------------
FIND_CHUNKS: Final = """
    UPDATE golden_new_chunk n SET is_known = true FROM datasets_app_chunk c WHERE n.has_id AND c.id = n.id
"""
# One that came without an id is the one in its place, unless another draft names that one.
MATCH_CHUNKS_BY_INDEX: Final = """
    UPDATE golden_new_chunk n SET is_known = true, id = c.id
      FROM golden_new_analysis a JOIN datasets_app_chunk c ON c.analysis_id = a.id
     WHERE a.line = n.line AND a.is_known AND NOT n.has_id AND c.chunk_index = n.chunk_index
       AND NOT EXISTS (SELECT 1 FROM golden_new_chunk named WHERE named.has_id AND named.id = c.id)
"""
_PARTS_TWICE: Final = """
    SELECT place, id, first_place, count(*) OVER (), line FROM (
        SELECT a.line, a.place, n.id, first_value(a.place) OVER w AS first_place, row_number() OVER w AS nth
          FROM {table} n JOIN golden_new_analysis a ON a.line = n.line
         WHERE n.has_id WINDOW w AS (PARTITION BY n.id ORDER BY n.line)) numbered
     WHERE nth > 1
"""
CHUNKS_TWICE: Final = _PARTS_TWICE.format(table="golden_new_chunk")
ARTIFACTS_TWICE: Final = _PARTS_TWICE.format(table="golden_new_artifact")
REPEATED_PATHS: Final = """
    SELECT min(section_path) FROM golden_new_chunk WHERE has_id GROUP BY id HAVING count(*) > 1
     ORDER BY min(number) LIMIT 20
"""
CHUNKS_ELSEWHERE: Final = """
    SELECT a.place, n.id, c.analysis_id, count(*) OVER (), n.line
      FROM golden_new_chunk n JOIN golden_new_analysis a ON a.line = n.line
      JOIN datasets_app_chunk c ON c.id = n.id
     WHERE n.is_known AND c.analysis_id <> a.id
"""
ARTIFACTS_ELSEWHERE: Final = """
    SELECT a.place, n.id, r.analysis_id, count(*) OVER (), n.line
      FROM golden_new_artifact n JOIN golden_new_analysis a ON a.line = n.line
      JOIN datasets_app_artifact r ON r.id = n.id
     WHERE n.has_id AND r.analysis_id <> a.id
"""
_GONE: Final = """
    a.is_known AND c.analysis_id = a.id AND NOT EXISTS (SELECT 1 FROM golden_new_chunk n WHERE n.id = c.id)
"""
EXPECTED_CHUNKS_GONE: Final = f"""
    SELECT a.place, c.id, q.text, count(*) OVER (), a.line
      FROM golden_new_analysis a, datasets_app_chunk c
      JOIN datasets_app_expectedchunk e ON e.chunk_id = c.id
      JOIN datasets_app_testquery q ON q.id = e.query_id
     WHERE {_GONE}
"""


def _marking(change: str) -> str:
    """Count what `change` wrote, and mark the analyses of it; it returns their ids."""
    return f"""
        WITH changed (analysis_id) AS ({change}), marked AS (
            UPDATE golden_new_analysis a SET is_changed = true FROM changed WHERE a.id = changed.analysis_id)
        SELECT count(*) FROM changed
    """


# --- analyses -------------------------------------------------------------------------------------------------------
UPDATE_ANALYSES: Final = """
    WITH changed AS (
        UPDATE datasets_app_analysis a
           SET url = n.url, canonical_url = n.canonical_url, url_violation = '', content_type = n.content_type,
               status = n.status, created_at = coalesce(n.created_at, a.created_at)
          FROM golden_new_analysis n
         WHERE n.is_known AND a.id = n.id
           AND (a.url, a.canonical_url, a.url_violation, a.content_type, a.status, a.created_at) IS DISTINCT FROM
               (n.url, n.canonical_url, '', n.content_type, n.status, coalesce(n.created_at, a.created_at))
        RETURNING a.id)
    UPDATE golden_new_analysis n SET is_changed = true FROM changed WHERE changed.id = n.id
"""
# A microsecond apart, so that the order by created_at is the order of the file.
ADD_ANALYSES: Final = """
    INSERT INTO datasets_app_analysis
           (id, corpus_id, url, canonical_url, url_violation, content_type, status, created_at)
    SELECT id, %s, url, canonical_url, '', content_type, status,
           coalesce(created_at, %s + line * interval '1 microsecond')
      FROM golden_new_analysis WHERE NOT is_known ORDER BY line
"""

# --- findings: known by their place ---------------------------------------------------------------------------------
_REMOVE_FINDINGS: Final = _marking("""
    DELETE FROM datasets_app_finding f USING golden_new_analysis a
     WHERE a.is_known AND f.analysis_id = a.id AND NOT EXISTS (
           SELECT 1 FROM golden_new_finding n WHERE n.line = a.line AND n.position = f.position)
    RETURNING f.analysis_id
""")
_UPDATE_FINDINGS: Final = _marking("""
    UPDATE datasets_app_finding f
       SET agent = n.agent, category = n.category, content = n.content, confidence = n.confidence
      FROM golden_new_finding n JOIN golden_new_analysis a ON a.line = n.line
     WHERE a.is_known AND f.analysis_id = a.id AND f.position = n.position
       AND (f.agent, f.category, f.content, f.confidence) IS DISTINCT FROM
           (n.agent, n.category, n.content, n.confidence)
    RETURNING f.analysis_id
""")
FINDINGS_OF_KNOWN: Final = (_REMOVE_FINDINGS, _UPDATE_FINDINGS)
ADD_FINDINGS: Final = _marking("""
    INSERT INTO datasets_app_finding (id, analysis_id, position, agent, category, content, confidence)
    SELECT gen_random_uuid(), a.id, n.position, n.agent, n.category, n.content, n.confidence
      FROM golden_new_finding n JOIN golden_new_analysis a ON a.line = n.line
     WHERE NOT a.is_known OR NOT EXISTS (
           SELECT 1 FROM datasets_app_finding f WHERE f.analysis_id = a.id AND f.position = n.position)
     ORDER BY n.line, n.position
    RETURNING analysis_id
""")

# --- chunks ---------------------------------------------------------------------------------------------------------
KEEP_INDEXES: Final = """
    UPDATE golden_new_chunk n SET chunk_index = c.chunk_index
      FROM datasets_app_chunk c WHERE n.is_known AND n.chunk_index IS NULL AND c.id = n.id
"""
NEXT_INDEXES: Final = """
    WITH starts AS MATERIALIZED (
        SELECT a.line, coalesce((SELECT max(c.chunk_index) + 1 FROM datasets_app_chunk c
                                  WHERE c.analysis_id = a.id), 0) AS first
          FROM golden_new_analysis a)
    UPDATE golden_new_chunk n SET chunk_index = numbered.chunk_index
      FROM (SELECT m.number, s.first + row_number() OVER (PARTITION BY m.line ORDER BY m.number) - 1 AS chunk_index
              FROM golden_new_chunk m JOIN starts s ON s.line = m.line
             WHERE m.chunk_index IS NULL) numbered
     WHERE n.number = numbered.number
"""
REMOVE_CHUNKS: Final = _marking(f"""
    DELETE FROM datasets_app_chunk c USING golden_new_analysis a WHERE {_GONE} RETURNING c.analysis_id
""")
UPDATE_CHUNKS: Final = _marking("""
    UPDATE datasets_app_chunk c
       SET content = n.content, section_title = n.section_title, section_path = n.section_path,
           content_type = n.content_type, chunk_index = n.chunk_index
      FROM golden_new_chunk n
     WHERE n.is_known AND c.id = n.id
       AND (c.content, c.section_title, c.section_path, c.content_type, c.chunk_index) IS DISTINCT FROM
           (n.content, n.section_title, n.section_path, n.content_type, n.chunk_index)
    RETURNING c.analysis_id
""")
ADD_CHUNKS: Final = _marking("""
    INSERT INTO datasets_app_chunk
           (id, analysis_id, content, section_title, section_path, content_type, chunk_index)
    SELECT n.id, a.id, n.content, n.section_title, n.section_path, n.content_type, n.chunk_index
      FROM golden_new_chunk n JOIN golden_new_analysis a ON a.line = n.line
     WHERE NOT n.is_known ORDER BY n.line, n.chunk_index
    RETURNING analysis_id
""")

# --- artifacts ------------------------------------------------------------------------------------------------------
_REMOVE_ARTIFACTS: Final = _marking("""
    DELETE FROM datasets_app_artifact r USING golden_new_analysis a
     WHERE a.is_known AND r.analysis_id = a.id AND NOT EXISTS (
           SELECT 1 FROM golden_new_artifact n WHERE n.line = a.line AND (NOT n.has_id OR n.id = r.id))
    RETURNING r.analysis_id
""")
_UPDATE_ARTIFACTS: Final = _marking("""
    UPDATE datasets_app_artifact r
       SET summary = n.summary, key_findings = n.key_findings::jsonb, metadata = n.metadata::jsonb
      FROM golden_new_artifact n JOIN golden_new_analysis a ON a.line = n.line
     WHERE a.is_known AND r.analysis_id = a.id
       AND (r.summary, r.key_findings, r.metadata) IS DISTINCT FROM
           (n.summary, n.key_findings::jsonb, n.metadata::jsonb)
    RETURNING r.analysis_id
""")
ARTIFACTS_OF_KNOWN: Final = (_REMOVE_ARTIFACTS, _UPDATE_ARTIFACTS)
ADD_ARTIFACTS: Final = _marking("""
    INSERT INTO datasets_app_artifact (id, analysis_id, summary, key_findings, metadata)
    SELECT n.id, a.id, n.summary, n.key_findings::jsonb, n.metadata::jsonb
      FROM golden_new_artifact n JOIN golden_new_analysis a ON a.line = n.line
     WHERE NOT a.is_known OR NOT EXISTS (SELECT 1 FROM datasets_app_artifact r WHERE r.analysis_id = a.id)
     ORDER BY n.line
    RETURNING analysis_id
""")
