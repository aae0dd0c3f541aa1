-- An entry says how many lines it has. Lines are numbered from 0 and an entry is whole when it is committed, so that
-- nothing can be added to it afterwards, balanced or not.
ALTER TABLE journal_entries ADD COLUMN lines INTEGER;

ALTER TABLE journal_entries DISABLE TRIGGER journal_entries_move;

UPDATE journal_entries SET lines = (SELECT count(*) FROM postings WHERE entry_id = id);

ALTER TABLE journal_entries ENABLE TRIGGER journal_entries_move;

ALTER TABLE journal_entries ALTER COLUMN lines SET NOT NULL;

ALTER TABLE journal_entries ADD CONSTRAINT journal_entries_lines CHECK (lines >= 2);

DROP TRIGGER postings_balance ON postings;

DROP FUNCTION refuse_imbalance();

CREATE FUNCTION refuse_more_lines() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF NEW.line NOT BETWEEN 0 AND (SELECT lines - 1 FROM journal_entries WHERE id = NEW.entry_id) THEN
        RAISE EXCEPTION 'entry % is a fact: it has no line %', NEW.entry_id, NEW.line
            USING ERRCODE = 'restrict_violation', HINT = 'write another entry';
    END IF;
    RETURN NEW;
END
$$;

CREATE TRIGGER postings_are_numbered BEFORE INSERT ON postings
    FOR EACH ROW EXECUTE FUNCTION refuse_more_lines();

-- Checked when the transaction commits, so that the lines of an entry may come one by one.
CREATE FUNCTION refuse_unfinished() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
    excess record;
    found_lines bigint;
BEGIN
    SELECT count(*) INTO found_lines FROM postings WHERE entry_id = NEW.id;
    IF found_lines <> NEW.lines THEN
        RAISE EXCEPTION 'entry % must have % lines, had %', NEW.id, NEW.lines, found_lines
            USING ERRCODE = 'check_violation', CONSTRAINT = 'journal_entries_whole', TABLE = TG_TABLE_NAME;
    END IF;
    SELECT currency, sum(amount_micros) AS micros INTO excess
        FROM postings WHERE entry_id = NEW.id GROUP BY currency HAVING sum(amount_micros) <> 0
        ORDER BY currency LIMIT 1;
    IF FOUND THEN
        RAISE EXCEPTION 'entry % must sum to zero, was % micros of %', NEW.id, excess.micros, excess.currency
            USING ERRCODE = 'check_violation', CONSTRAINT = 'postings_balance', TABLE = TG_TABLE_NAME;
    END IF;
    RETURN NULL;
END
$$;

CREATE CONSTRAINT TRIGGER journal_entries_whole AFTER INSERT ON journal_entries
    DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION refuse_unfinished();

-- What people decided, act after act. A second run that wants the same number is refused by the key.
CREATE TABLE acts (
    kind TEXT NOT NULL,
    subject TEXT NOT NULL,
    sequence INTEGER NOT NULL,
    act VARCHAR NOT NULL,
    actor VARCHAR NOT NULL,
    at TIMESTAMP WITH TIME ZONE NOT NULL,
    facts JSONB NOT NULL,
    PRIMARY KEY (kind, subject, sequence)
);

CREATE TRIGGER acts_are_facts BEFORE UPDATE OR DELETE ON acts
    FOR EACH ROW EXECUTE FUNCTION refuse_change();

CREATE TRIGGER acts_stay BEFORE TRUNCATE ON acts
    FOR EACH STATEMENT EXECUTE FUNCTION refuse_change();

-- What a close has decided is a fact too.
CREATE TRIGGER closes_are_facts BEFORE UPDATE OR DELETE ON closes
    FOR EACH ROW EXECUTE FUNCTION refuse_change();

CREATE TRIGGER closes_stay BEFORE TRUNCATE ON closes
    FOR EACH STATEMENT EXECUTE FUNCTION refuse_change();

CREATE TRIGGER invoices_are_facts BEFORE UPDATE OR DELETE ON invoices
    FOR EACH ROW EXECUTE FUNCTION refuse_change();

CREATE TRIGGER invoices_stay BEFORE TRUNCATE ON invoices
    FOR EACH STATEMENT EXECUTE FUNCTION refuse_change();

CREATE TRIGGER invoice_lines_are_facts BEFORE UPDATE OR DELETE ON invoice_lines
    FOR EACH ROW EXECUTE FUNCTION refuse_change();

CREATE TRIGGER invoice_lines_stay BEFORE TRUNCATE ON invoice_lines
    FOR EACH STATEMENT EXECUTE FUNCTION refuse_change();

CREATE TRIGGER payouts_are_facts BEFORE UPDATE OR DELETE ON payouts
    FOR EACH ROW EXECUTE FUNCTION refuse_change();

CREATE TRIGGER payouts_stay BEFORE TRUNCATE ON payouts
    FOR EACH STATEMENT EXECUTE FUNCTION refuse_change();

-- What a frozen period knows is settled: nothing may arrive in its past.
CREATE FUNCTION refuse_late_past() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
    frozen timestamptz;
    early record;
BEGIN
    SELECT max((facts->>'closes_at')::timestamptz) INTO frozen FROM acts WHERE kind = 'period' AND act = 'frozen';
    SELECT usage_id, received_at INTO early FROM arrivals WHERE received_at < frozen LIMIT 1;
    IF FOUND THEN
        RAISE EXCEPTION 'usage % arrived at %, and what was known until % is frozen', early.usage_id, early.received_at, frozen
            USING ERRCODE = 'restrict_violation', HINT = 'send it again: it arrives now, and is billed in the next period';
    END IF;
    RETURN NULL;
END
$$;

CREATE TRIGGER usage_records_arrive AFTER INSERT ON usage_records
    REFERENCING NEW TABLE AS arrivals FOR EACH STATEMENT EXECUTE FUNCTION refuse_late_past();

-- Who works in the broker's finance team, known by their keys' digests.
CREATE TABLE staff (
    id TEXT NOT NULL,
    name VARCHAR NOT NULL,
    digest BYTEA NOT NULL,
    scopes TEXT[] NOT NULL,
    created_at TIMESTAMP WITH TIME ZONE NOT NULL,
    revoked_at TIMESTAMP WITH TIME ZONE,
    PRIMARY KEY (id),
    UNIQUE (digest)
);

-- Whom a party belongs to, and since when a provider sells here.
ALTER TABLE accounts ADD COLUMN parent VARCHAR;

ALTER TABLE providers ADD COLUMN parent VARCHAR;

ALTER TABLE providers ADD COLUMN joined_at TIMESTAMP WITH TIME ZONE;

-- What buyers' own meters counted, beside what providers reported.
CREATE TABLE counter_readings (
    lease_id VARCHAR NOT NULL,
    start TIMESTAMP WITH TIME ZONE NOT NULL,
    "end" TIMESTAMP WITH TIME ZONE NOT NULL,
    accelerator_seconds BIGINT NOT NULL,
    received_at TIMESTAMP WITH TIME ZONE NOT NULL,
    PRIMARY KEY (lease_id, start),
    FOREIGN KEY(lease_id) REFERENCES leases (id)
);

CREATE TRIGGER counter_readings_are_facts BEFORE UPDATE OR DELETE ON counter_readings
    FOR EACH ROW EXECUTE FUNCTION refuse_change();

CREATE TRIGGER counter_readings_stay BEFORE TRUNCATE ON counter_readings
    FOR EACH STATEMENT EXECUTE FUNCTION refuse_change();
