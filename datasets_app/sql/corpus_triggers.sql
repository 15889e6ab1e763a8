-- Which chunks the lexical index must look at again. Statement-level, so a bulk load writes its marks as one set.
CREATE OR REPLACE FUNCTION golden_chunks_inserted() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO datasets_app_changedchunk (corpus_id, chunk_id)
    SELECT a.corpus_id, n.id FROM new_rows n JOIN datasets_app_analysis a ON a.id = n.analysis_id;
    RETURN NULL;
END $$;

CREATE OR REPLACE FUNCTION golden_chunks_updated() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO datasets_app_changedchunk (corpus_id, chunk_id)
    SELECT DISTINCT a.corpus_id, changed.id
      FROM (SELECT n.id, n.analysis_id, o.analysis_id AS old_analysis_id
              FROM new_rows n LEFT JOIN old_rows o ON o.id = n.id
             WHERE o.id IS NULL OR (o.content_hash, o.analysis_id) IS DISTINCT FROM (n.content_hash, n.analysis_id)
           ) changed
      JOIN datasets_app_analysis a ON a.id IN (changed.analysis_id, changed.old_analysis_id);
    RETURN NULL;
END $$;

CREATE OR REPLACE FUNCTION golden_chunks_deleted() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO datasets_app_changedchunk (corpus_id, chunk_id)
    SELECT a.corpus_id, o.id FROM old_rows o JOIN datasets_app_analysis a ON a.id = o.analysis_id;
    RETURN NULL;
END $$;

-- An analysis that becomes golden, stops being it, or moves to another corpus takes its chunks with it.
CREATE OR REPLACE FUNCTION golden_analyses_updated() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO datasets_app_changedchunk (corpus_id, chunk_id)
    SELECT DISTINCT corpus.id, c.id
      FROM new_rows n JOIN old_rows o ON o.id = n.id
      JOIN datasets_app_chunk c ON c.analysis_id = n.id
     CROSS JOIN LATERAL (VALUES (n.corpus_id), (o.corpus_id)) AS corpus (id)
     WHERE n.corpus_id <> o.corpus_id OR (n.status = 'completed') <> (o.status = 'completed');
    RETURN NULL;
END $$;
