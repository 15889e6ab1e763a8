-- Functions behind the corpus. Every statement may run again on a database that has an older form of it.

-- The hash by which a chunk's text is known. IMMUTABLE because the encoding is named; a generated column calls it.
CREATE OR REPLACE FUNCTION golden_chunk_hash(section_title text, content text) RETURNS bytea
LANGUAGE sql IMMUTABLE PARALLEL SAFE AS $$
    SELECT sha256(convert_to(CASE WHEN section_title = '' THEN content ELSE section_title || E'\n' || content END, 'UTF8'))
$$;
