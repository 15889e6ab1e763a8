-- Two roles: the owner (who runs this) migrates, restores and redacts; the application works under {app}.
-- May run again at any time, and must run after each migration: rights follow the guards that stand then.
-- {app} is the name of the application's role, which golden_roles puts in after it has checked it.

DO $$ BEGIN
    IF NOT pg_has_role(current_user, (SELECT relowner FROM pg_class WHERE oid = 'datasets_app_dataset'::regclass), 'USAGE') THEN
        RAISE EXCEPTION 'golden: % does not own the tables, so it cannot give rights to them', current_user
            USING ERRCODE = 'insufficient_privilege', HINT = 'Run it as the owner.';
    END IF;
    IF NOT EXISTS (SELECT 1 FROM pg_roles WHERE rolname = '{app}') THEN
        CREATE ROLE {app} LOGIN;  -- no password yet, so nobody can sign in under it
    END IF;
    IF EXISTS (SELECT 1 FROM pg_roles WHERE rolname = '{app}' AND rolsuper)
       OR EXISTS (SELECT 1 FROM pg_tables
                   WHERE schemaname = current_schema() AND pg_has_role('{app}', tableowner, 'MEMBER')) THEN
        RAISE EXCEPTION 'golden: role {app} is a superuser or acts for the owner of the tables: nothing could be kept from it'
            USING HINT = 'Choose another role for the application.';
    END IF;
    EXECUTE format('GRANT CONNECT, TEMPORARY ON DATABASE %I TO {app}', current_database());
    EXECUTE format('GRANT USAGE ON SCHEMA %I TO {app}', current_schema());
    EXECUTE format('REVOKE CREATE ON SCHEMA %I FROM {app}, PUBLIC', current_schema());
    EXECUTE format('REVOKE ALL ON ALL TABLES IN SCHEMA %I FROM {app}', current_schema());
    EXECUTE format('GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA %I TO {app}', current_schema());
    EXECUTE format('GRANT USAGE, SELECT ON ALL SEQUENCES IN SCHEMA %I TO {app}', current_schema());
    -- what the next migration makes can be read and added to at once; the rest comes when this runs after it
    EXECUTE format('ALTER DEFAULT PRIVILEGES IN SCHEMA %I GRANT SELECT, INSERT ON TABLES TO {app}', current_schema());
    EXECUTE format('ALTER DEFAULT PRIVILEGES IN SCHEMA %I GRANT USAGE, SELECT ON SEQUENCES TO {app}', current_schema());
END $$;

-- What its guard keeps append-only is append-only by right as well. The guards are the one list of those tables.
DO $$ DECLARE frozen regclass; BEGIN
    FOR frozen IN
        SELECT DISTINCT t.tgrelid::regclass
          FROM pg_trigger t JOIN pg_class c ON c.oid = t.tgrelid
         WHERE t.tgname IN ('golden_append_only', 'golden_redaction_only')
           AND c.relnamespace = current_schema()::regnamespace
    LOOP
        EXECUTE format('REVOKE UPDATE, DELETE ON %s FROM {app}', frozen);
    END LOOP;
END $$;

-- Which migrations ran is the owner's to say.
REVOKE INSERT, UPDATE, DELETE ON django_migrations FROM {app};
