-- The whole content of a record stands in its row and is compared there: a digest of it says nothing more.
ALTER TABLE usage_records DROP COLUMN digest;

-- A foreign key looks every row up by itself, which takes longer than writing it; this looks a whole statement up at once.
ALTER TABLE usage_records DROP CONSTRAINT usage_records_lease_id_fkey;

CREATE FUNCTION refuse_unknown_lease() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
    stray record;
BEGIN
    SELECT usage_id, lease_id INTO stray FROM arrivals
        WHERE NOT EXISTS (SELECT FROM leases WHERE leases.id = arrivals.lease_id) LIMIT 1;
    IF FOUND THEN
        RAISE EXCEPTION 'usage % names lease %, which is not known', stray.usage_id, stray.lease_id
            USING ERRCODE = 'foreign_key_violation', HINT = 'report usage of leases this market made';
    END IF;
    RETURN NULL;
END
$$;

CREATE TRIGGER usage_records_have_leases AFTER INSERT ON usage_records
    REFERENCING NEW TABLE AS arrivals FOR EACH STATEMENT EXECUTE FUNCTION refuse_unknown_lease();

-- What a lease delivered in a span is found by both.
CREATE INDEX ix_usage_records_lease_start ON usage_records (lease_id, start);

DROP INDEX ix_usage_records_lease_id;

-- What was reported and is not counted: copies with another content, and what no lease can have delivered.
CREATE TABLE usage_set_aside (
    id BIGINT GENERATED ALWAYS AS IDENTITY,
    usage_id TEXT NOT NULL,
    rev INTEGER NOT NULL,
    lease_id VARCHAR NOT NULL,
    start TIMESTAMP WITH TIME ZONE NOT NULL,
    "end" TIMESTAMP WITH TIME ZONE NOT NULL,
    accelerator_seconds BIGINT NOT NULL,
    status VARCHAR NOT NULL,
    received_at TIMESTAMP WITH TIME ZONE NOT NULL,
    reason VARCHAR NOT NULL,
    reported_by VARCHAR NOT NULL,
    PRIMARY KEY (id),
    CONSTRAINT usage_set_aside_once
        UNIQUE (usage_id, rev, lease_id, start, "end", accelerator_seconds, status, reason, reported_by)
);

CREATE INDEX ix_usage_set_aside_reported_by ON usage_set_aside (reported_by);

CREATE TRIGGER usage_set_aside_arrive AFTER INSERT ON usage_set_aside
    REFERENCING NEW TABLE AS arrivals FOR EACH STATEMENT EXECUTE FUNCTION refuse_late_past();

CREATE TRIGGER usage_set_aside_are_facts BEFORE UPDATE OR DELETE ON usage_set_aside
    FOR EACH ROW EXECUTE FUNCTION refuse_change();

CREATE TRIGGER usage_set_aside_stay BEFORE TRUNCATE ON usage_set_aside
    FOR EACH STATEMENT EXECUTE FUNCTION refuse_change();

-- Keys of provider grids: what one of them reports must be about its own leases.
CREATE TABLE provider_keys (
    id TEXT NOT NULL,
    provider_id VARCHAR NOT NULL,
    digest BYTEA NOT NULL,
    scopes TEXT[] NOT NULL,
    created_at TIMESTAMP WITH TIME ZONE NOT NULL,
    revoked_at TIMESTAMP WITH TIME ZONE,
    PRIMARY KEY (id),
    UNIQUE (digest),
    FOREIGN KEY(provider_id) REFERENCES providers (id)
);

CREATE INDEX ix_provider_keys_provider_id ON provider_keys (provider_id);
