-- What of the labels may be erased, and what then stays erased. Called by the guards in models/guards.py.

-- Whether a value is what an erasure leaves: nothing, "[redacted]", a tombstone, or of a rule what tells nothing of texts.
CREATE OR REPLACE FUNCTION golden_is_erased(said jsonb, was jsonb) RETURNS boolean LANGUAGE sql IMMUTABLE AS $$
    SELECT CASE jsonb_typeof(said)
               WHEN 'null' THEN true
               WHEN 'string' THEN said = '"[redacted]"'
               WHEN 'object' THEN said = '{}' OR said -> 'redacted' = 'true'
                   AND (said ?& '{hash,reason,at}' AND said - '{redacted,hash,reason,at}'::text[] = '{}'
                        OR said - 'redacted' = jsonb_strip_nulls(jsonb_build_object('left_out', was -> 'left_out')))
               ELSE false END
$$;

-- The note that stands in the place of what was said of an example: NULL for one that was never redacted, or that is
-- there again with another content.
CREATE OR REPLACE FUNCTION golden_tombstone_of(example uuid) RETURNS jsonb LANGUAGE sql STABLE AS $$
    SELECT jsonb_build_object('redacted', true, 'hash', replace(example::text, '-', ''), 'reason', r.reason,
                              'at', r.redacted_at)
      FROM datasets_app_redaction r
     WHERE r.example_id = example
       AND NOT EXISTS (SELECT 1 FROM datasets_app_example e WHERE e.example_id = example)
     ORDER BY r.id DESC LIMIT 1
$$;

-- A row may lose what it says of an example that has a redaction on record; nothing else of it may change.
-- TG_ARGV: how the row tells its example (example, item, bulk), and the columns that may be erased.
CREATE OR REPLACE FUNCTION golden_guard_answer_erasure() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
    was jsonb := to_jsonb(OLD);
    becomes jsonb := to_jsonb(NEW);
    columns text[] := string_to_array(TG_ARGV[1], ',');
    examples uuid[];
BEGIN
    IF TG_ARGV[0] = 'example' THEN
        examples := ARRAY[(was ->> 'example_id')::uuid];
    ELSIF TG_ARGV[0] = 'item' THEN
        SELECT array_agg(i.example_id) INTO examples
          FROM labeling_app_queueitem i WHERE i.id = (was ->> 'item_id')::bigint;
    ELSE
        SELECT array_agg(DISTINCT h.example_id) INTO examples
          FROM labeling_app_labelhistory h WHERE h.bulk_id = (was ->> 'id')::uuid;
    END IF;
    IF was - columns = becomes - columns
       AND EXISTS (SELECT 1 FROM datasets_app_redaction r WHERE r.example_id = ANY (examples))
       AND NOT EXISTS (SELECT 1 FROM unnest(columns) c
                        WHERE becomes -> c <> was -> c AND NOT golden_is_erased(becomes -> c, was -> c)) THEN
        RETURN NEW;
    END IF;
    RAISE EXCEPTION 'golden: UPDATE on % is refused: the table is append-only', TG_TABLE_NAME
        USING ERRCODE = 'integrity_constraint_violation',
              HINT = 'Content is erased with golden_redact, which leaves a tombstone.';
END $$;

-- Whoever was under way while an example was redacted still holds its text: of what they write now the fact is kept, and
-- not the words.
CREATE OR REPLACE FUNCTION golden_history_stays_erased() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
    stone jsonb;
BEGIN
    -- asked first and here, where its plan is kept: of nearly every row this is all
    IF NOT EXISTS (SELECT 1 FROM datasets_app_redaction r WHERE r.example_id = NEW.example_id)
       OR NEW.event = 'redacted' THEN
        RETURN NEW;
    END IF;
    stone := golden_tombstone_of(NEW.example_id);
    IF stone IS NOT NULL THEN
        NEW.label_value := CASE WHEN NEW.label_value IS NOT NULL THEN stone END;
        NEW.previous_value := CASE WHEN NEW.previous_value IS NOT NULL THEN stone END;
        NEW.notes := CASE WHEN NEW.notes <> '' THEN '[redacted]' ELSE '' END;
    END IF;
    RETURN NEW;
END $$;

-- A label counts, so there can be none without its words. Tried again, the service finds the example gone.
CREATE OR REPLACE FUNCTION golden_label_stays_erased() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF NOT EXISTS (SELECT 1 FROM datasets_app_redaction r WHERE r.example_id = NEW.example_id) THEN
        RETURN NEW;
    END IF;
    IF golden_tombstone_of(NEW.example_id) IS NOT NULL THEN
        RAISE EXCEPTION 'golden: example % was redacted: no label of it is taken', NEW.example_id
            USING ERRCODE = 'serialization_failure';
    END IF;
    RETURN NEW;
END $$;

-- What only helps somebody to answer (drafts, prelabels, known answers) is not kept at all.
CREATE OR REPLACE FUNCTION golden_help_stays_erased() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF EXISTS (SELECT 1 FROM labeling_app_queueitem i JOIN datasets_app_redaction r ON r.example_id = i.example_id
                WHERE i.id = NEW.item_id AND golden_tombstone_of(i.example_id) IS NOT NULL) THEN
        RETURN NULL;
    END IF;
    RETURN NEW;
END $$;

CREATE OR REPLACE FUNCTION golden_review_stays_erased() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
    stone jsonb;
BEGIN
    SELECT golden_tombstone_of(i.example_id) INTO stone
      FROM labeling_app_queueitem i JOIN datasets_app_redaction r ON r.example_id = i.example_id
     WHERE i.id = NEW.item_id LIMIT 1;
    IF stone IS NOT NULL THEN
        NEW.detail := CASE WHEN NEW.detail <> '' THEN '[redacted]' ELSE '' END;
        NEW.comment := CASE WHEN NEW.comment <> '' THEN '[redacted]' ELSE '' END;
        NEW.suggestion := NULL;
        NEW.value := CASE WHEN NEW.value IS NOT NULL THEN stone END;
    END IF;
    RETURN NEW;
END $$;
