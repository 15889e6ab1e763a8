-- Functions behind the guards. Every statement may run again on a database that has an older form of it.

-- Refuses UPDATE, DELETE and TRUNCATE on what is frozen. Statement-level, so even a statement that hits no row is told.
CREATE OR REPLACE FUNCTION golden_refuse() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION 'golden: % on % is refused: the table is append-only', TG_OP, TG_TABLE_NAME
        USING ERRCODE = 'integrity_constraint_violation',
              HINT = 'What was recorded stays recorded; write a new row instead.';
END $$;

-- A blob may change only into the tombstone of a redaction that is on record.
CREATE OR REPLACE FUNCTION golden_guard_blob_update() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF NEW.hash = OLD.hash AND EXISTS (
        SELECT 1 FROM datasets_app_redaction r WHERE r.blob_hash = OLD.hash AND r.tombstone = NEW.body
    ) THEN
        RETURN NEW;
    END IF;
    RAISE EXCEPTION 'golden: UPDATE on % is refused: the table is append-only', TG_TABLE_NAME
        USING ERRCODE = 'integrity_constraint_violation',
              HINT = 'Content is erased with golden_redact, which leaves a tombstone.';
END $$;

-- A history row of an example may lose its content when that example has a redaction on record; nothing else of it may change.
CREATE OR REPLACE FUNCTION golden_guard_history_update() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
    blank jsonb := jsonb_build_object('input_data', NULL, 'expected_output', NULL, 'labels', NULL,
                                      'metadata', NULL, 'provenance', NULL, 'source_decision_id', NULL);
BEGIN
    IF to_jsonb(NEW) || blank = to_jsonb(OLD) || blank
       AND NEW.input_data ? 'redacted'
       AND EXISTS (SELECT 1 FROM datasets_app_redaction r WHERE r.example_id = OLD.example_id) THEN
        RETURN NEW;
    END IF;
    RAISE EXCEPTION 'golden: UPDATE on % is refused: the table is append-only', TG_TABLE_NAME
        USING ERRCODE = 'integrity_constraint_violation',
              HINT = 'Content is erased with golden_redact, which leaves a tombstone.';
END $$;

-- An audit event may lose the words that a person added to its summary, when its dataset has a redaction on record.
CREATE OR REPLACE FUNCTION golden_guard_audit_erasure() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF to_jsonb(NEW) - 'summary' = to_jsonb(OLD) - 'summary'
       AND NEW.summary LIKE '%[redacted]'
       AND starts_with(OLD.summary, left(NEW.summary, -length('[redacted]')))
       AND EXISTS (SELECT 1 FROM datasets_app_redaction r WHERE r.dataset_id = OLD.dataset_id) THEN
        RETURN NEW;
    END IF;
    RAISE EXCEPTION 'golden: UPDATE on % is refused: the table is append-only', TG_TABLE_NAME
        USING ERRCODE = 'integrity_constraint_violation',
              HINT = 'What was recorded stays recorded; write a new row instead.';
END $$;

-- Writes the history rows of a statement. TG_ARGV: history table, primary key column, columns whose change alone is no change.
-- The columns are read from the catalogue when it runs, so a migration needs no new version of it.
CREATE OR REPLACE FUNCTION golden_audit() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
    history_table text := format('%I.%I', TG_TABLE_SCHEMA, TG_ARGV[0]);
    pk text := quote_ident(TG_ARGV[1]);
    names text;
    new_values text;
    old_values text;
    new_compared text;
    old_compared text;
    tail text := ', history_date, history_type, history_user_id, history_change_reason, db_user';
    at timestamptz := clock_timestamp();
    actor int := nullif(current_setting('golden.actor', true), '')::int;
    reason text := left(nullif(current_setting('golden.reason', true), ''), 100);
BEGIN
    SELECT string_agg(quote_ident(h.attname), ', ' ORDER BY h.attnum),
           string_agg('n.' || quote_ident(h.attname), ', ' ORDER BY h.attnum),
           string_agg('o.' || quote_ident(h.attname), ', ' ORDER BY h.attnum),
           string_agg('n.' || quote_ident(h.attname), ', ' ORDER BY h.attnum)
               FILTER (WHERE h.attname <> ALL (string_to_array(TG_ARGV[2], ','))),
           string_agg('o.' || quote_ident(h.attname), ', ' ORDER BY h.attnum)
               FILTER (WHERE h.attname <> ALL (string_to_array(TG_ARGV[2], ',')))
      INTO names, new_values, old_values, new_compared, old_compared
      FROM pg_attribute h
      JOIN pg_attribute s ON s.attrelid = TG_RELID AND s.attname = h.attname AND s.attnum > 0 AND NOT s.attisdropped
     WHERE h.attrelid = history_table::regclass AND h.attnum > 0 AND NOT h.attisdropped;

    IF TG_OP = 'INSERT' THEN
        EXECUTE format('INSERT INTO %s (%s%s) SELECT %s, $1, ''+'', $2, $3, session_user FROM new_rows n',
                       history_table, names, tail, new_values) USING at, actor, reason;
    ELSIF TG_OP = 'DELETE' THEN
        EXECUTE format('INSERT INTO %s (%s%s) SELECT %s, $1, ''-'', $2, $3, session_user FROM old_rows o',
                       history_table, names, tail, old_values) USING at, actor, reason;
    ELSE
        EXECUTE format('INSERT INTO %s (%s%s) SELECT %s, $1, ''~'', $2, $3, session_user '
                       'FROM new_rows n LEFT JOIN old_rows o ON o.%s = n.%s '
                       'WHERE o.%s IS NULL OR (%s) IS DISTINCT FROM (%s)',
                       history_table, names, tail, new_values, pk, pk, pk, new_compared, old_compared)
            USING at, actor, reason;
        EXECUTE format('INSERT INTO %s (%s%s) SELECT %s, $1, ''-'', $2, $3, session_user '
                       'FROM old_rows o WHERE NOT EXISTS (SELECT 1 FROM new_rows n WHERE n.%s = o.%s)',
                       history_table, names, tail, old_values, pk, pk) USING at, actor, reason;
    END IF;
    RETURN NULL;
END $$;

-- The values (not the keys) of a JSON document as one text for substring search.
CREATE OR REPLACE FUNCTION golden_search_text(VARIADIC documents jsonb[]) RETURNS text
LANGUAGE sql IMMUTABLE PARALLEL SAFE AS $$
    SELECT coalesce(string_agg(v #>> '{}', E'\n' ORDER BY d.n, v.n), '')
      FROM unnest(documents) WITH ORDINALITY d(document, n),
           jsonb_path_query(d.document, 'strict $.**') WITH ORDINALITY v(v, n)
     WHERE jsonb_typeof(v.v) IN ('string', 'number')
$$;

-- Keeps search_text true on every write path. An INSERT that brings its own text (the bulk import) is believed.
CREATE OR REPLACE FUNCTION golden_fill_search_text() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    NEW.search_text := lower(golden_search_text(NEW.input_data, NEW.expected_output, NEW.labels, NEW.metadata));
    RETURN NEW;
END $$;

-- Marks what a statement touched in a working copy, counts its rows, and holds rows to their identities.
CREATE OR REPLACE FUNCTION golden_track_inserted() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
    actor int := nullif(current_setting('golden.actor', true), '')::int;
    stray uuid;
BEGIN
    SELECT n.example_id INTO stray
      FROM new_rows n
      LEFT JOIN datasets_app_branch b ON b.id = n.branch_id
      LEFT JOIN datasets_app_exampleidentity i
             ON i.id = n.example_id AND i.dataset_id = b.dataset_id AND i.ordinal = n.ordinal
     WHERE i.id IS NULL LIMIT 1;
    IF FOUND THEN
        RAISE EXCEPTION 'golden: example % has no identity in the dataset of its branch', stray
            USING ERRCODE = 'foreign_key_violation';
    END IF;
    IF EXISTS (SELECT 1 FROM (SELECT DISTINCT example_type_id AS id FROM new_rows) n
                WHERE NOT EXISTS (SELECT 1 FROM datasets_app_exampletype t WHERE t.id = n.id)) THEN
        RAISE EXCEPTION 'golden: an example has a type that does not exist' USING ERRCODE = 'foreign_key_violation';
    END IF;
    INSERT INTO datasets_app_dirtyexample AS d (branch_id, example_id, in_base, touched_by, touched_at)
    SELECT branch_id, example_id, false, actor, statement_timestamp() FROM new_rows
        ON CONFLICT (branch_id, example_id) DO UPDATE
       SET touched_by = CASE WHEN d.touched_by IS NOT DISTINCT FROM excluded.touched_by THEN d.touched_by ELSE 0 END,
           touched_at = excluded.touched_at;
    INSERT INTO datasets_app_worktreecount (branch_id, delta)
    SELECT branch_id, count(*) FROM new_rows GROUP BY branch_id;
    RETURN NULL;
END $$;

CREATE OR REPLACE FUNCTION golden_track_updated() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
    actor int := nullif(current_setting('golden.actor', true), '')::int;
BEGIN
    IF EXISTS (SELECT 1 FROM new_rows n LEFT JOIN old_rows o ON o.id = n.id
                WHERE o.id IS NULL OR (o.branch_id, o.example_id, o.ordinal)
                                      IS DISTINCT FROM (n.branch_id, n.example_id, n.ordinal)) THEN
        RAISE EXCEPTION 'golden: the branch and the identity of an example row never change'
            USING ERRCODE = 'integrity_constraint_violation', HINT = 'Delete the row and insert another.';
    END IF;
    IF EXISTS (SELECT 1 FROM (SELECT DISTINCT example_type_id AS id FROM new_rows) n
                WHERE NOT EXISTS (SELECT 1 FROM datasets_app_exampletype t WHERE t.id = n.id)) THEN
        RAISE EXCEPTION 'golden: an example has a type that does not exist' USING ERRCODE = 'foreign_key_violation';
    END IF;
    INSERT INTO datasets_app_dirtyexample AS d (branch_id, example_id, in_base, touched_by, touched_at)
    SELECT n.branch_id, n.example_id, true, actor, statement_timestamp()
      FROM new_rows n JOIN old_rows o ON o.id = n.id
     WHERE (n.example_type_id, n.input_data, n.expected_output, n.labels, n.metadata, n.provenance,
            n.source_decision_id, n.validation_status)
           IS DISTINCT FROM
           (o.example_type_id, o.input_data, o.expected_output, o.labels, o.metadata, o.provenance,
            o.source_decision_id, o.validation_status)
        ON CONFLICT (branch_id, example_id) DO UPDATE
       SET touched_by = CASE WHEN d.touched_by IS NOT DISTINCT FROM excluded.touched_by THEN d.touched_by ELSE 0 END,
           touched_at = excluded.touched_at;
    RETURN NULL;
END $$;

CREATE OR REPLACE FUNCTION golden_track_deleted() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
    actor int := nullif(current_setting('golden.actor', true), '')::int;
BEGIN
    INSERT INTO datasets_app_dirtyexample AS d (branch_id, example_id, in_base, touched_by, touched_at)
    SELECT branch_id, example_id, true, actor, statement_timestamp() FROM old_rows
        ON CONFLICT (branch_id, example_id) DO UPDATE
       SET touched_by = CASE WHEN d.touched_by IS NOT DISTINCT FROM excluded.touched_by THEN d.touched_by ELSE 0 END,
           touched_at = excluded.touched_at;
    INSERT INTO datasets_app_worktreecount (branch_id, delta)
    SELECT branch_id, -count(*) FROM old_rows GROUP BY branch_id;
    RETURN NULL;
END $$;

-- A commit, branch or tag stays within one dataset.
CREATE OR REPLACE FUNCTION golden_guard_ref() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF NEW.commit_id IS NOT NULL AND NOT EXISTS (
        SELECT 1 FROM datasets_app_datasetcommit c WHERE c.id = NEW.commit_id AND c.dataset_id = NEW.dataset_id
    ) THEN
        RAISE EXCEPTION 'golden: % % points at a commit of another dataset', TG_TABLE_NAME, NEW.name
            USING ERRCODE = 'foreign_key_violation';
    END IF;
    IF TG_OP = 'UPDATE' AND TG_TABLE_NAME = 'datasets_app_tag'
       AND (NEW.commit_id, NEW.name, NEW.dataset_id) IS DISTINCT FROM (OLD.commit_id, OLD.name, OLD.dataset_id) THEN
        RAISE EXCEPTION 'golden: tag % never moves', OLD.name
            USING ERRCODE = 'integrity_constraint_violation', HINT = 'Delete it and tag anew.';
    END IF;
    RETURN NEW;
END $$;

-- The parents of a commit are commits of the same dataset.
CREATE OR REPLACE FUNCTION golden_guard_commit() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
    parent text;
BEGIN
    FOREACH parent IN ARRAY ARRAY[NEW.parent_commit_hash, NEW.merge_parent_hash] LOOP
        IF parent <> '' AND NOT EXISTS (
            SELECT 1 FROM datasets_app_datasetcommit c WHERE c.commit_hash = parent AND c.dataset_id = NEW.dataset_id
        ) THEN
            RAISE EXCEPTION 'golden: commit % names a parent % that is not in its dataset', NEW.commit_hash, parent
                USING ERRCODE = 'foreign_key_violation';
        END IF;
    END LOOP;
    RETURN NEW;
END $$;
