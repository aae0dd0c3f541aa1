-- Facts are never changed, whatever a program above may try: the database itself refuses.

CREATE FUNCTION refuse_change() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION 'rows of % are facts: % is refused', TG_TABLE_NAME, TG_OP
        USING ERRCODE = 'restrict_violation', HINT = 'write a correction instead';
END
$$;

CREATE TRIGGER postings_are_facts BEFORE UPDATE OR DELETE ON postings
    FOR EACH ROW EXECUTE FUNCTION refuse_change();

CREATE TRIGGER postings_stay BEFORE TRUNCATE ON postings
    FOR EACH STATEMENT EXECUTE FUNCTION refuse_change();

CREATE TRIGGER usage_records_are_facts BEFORE UPDATE OR DELETE ON usage_records
    FOR EACH ROW EXECUTE FUNCTION refuse_change();

CREATE TRIGGER usage_records_stay BEFORE TRUNCATE ON usage_records
    FOR EACH STATEMENT EXECUTE FUNCTION refuse_change();

CREATE TRIGGER journal_entries_are_facts BEFORE DELETE ON journal_entries
    FOR EACH ROW EXECUTE FUNCTION refuse_change();

CREATE TRIGGER journal_entries_stay BEFORE TRUNCATE ON journal_entries
    FOR EACH STATEMENT EXECUTE FUNCTION refuse_change();

-- An entry may move pending -> posted | voided and posted -> reversed; nothing else of it may change.
CREATE FUNCTION refuse_illegal_move() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF to_jsonb(NEW) - 'state' IS DISTINCT FROM to_jsonb(OLD) - 'state' THEN
        RAISE EXCEPTION 'entry % is a fact: only its state may move', OLD.id
            USING ERRCODE = 'restrict_violation', HINT = 'reverse it and write another';
    END IF;
    IF (OLD.state, NEW.state) NOT IN (('pending', 'posted'), ('pending', 'voided'), ('posted', 'reversed')) THEN
        RAISE EXCEPTION 'entry % may not move from % to %', OLD.id, OLD.state, NEW.state
            USING ERRCODE = 'restrict_violation', HINT = 'pending may be posted or voided, posted may be reversed';
    END IF;
    RETURN NEW;
END
$$;

CREATE TRIGGER journal_entries_move BEFORE UPDATE ON journal_entries
    FOR EACH ROW EXECUTE FUNCTION refuse_illegal_move();

ALTER TABLE journal_entries ADD CONSTRAINT journal_entries_state
    CHECK (state IN ('pending', 'posted', 'voided', 'reversed'));

-- Checked when the transaction commits, so that the lines of an entry may come one by one.
CREATE FUNCTION refuse_imbalance() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
    excess record;
BEGIN
    SELECT currency, sum(amount_micros) AS micros INTO excess
        FROM postings WHERE entry_id = NEW.entry_id GROUP BY currency HAVING sum(amount_micros) <> 0
        ORDER BY currency LIMIT 1;
    IF FOUND THEN
        RAISE EXCEPTION 'entry % must sum to zero, was % micros of %', NEW.entry_id, excess.micros, excess.currency
            USING ERRCODE = 'check_violation', CONSTRAINT = 'postings_balance', TABLE = TG_TABLE_NAME;
    END IF;
    RETURN NULL;
END
$$;

CREATE CONSTRAINT TRIGGER postings_balance AFTER INSERT ON postings
    DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION refuse_imbalance();
