-- The refusal has a name, and says in its detail, as JSON, what it found: who reads it need not take the sentence apart.
CREATE OR REPLACE FUNCTION refuse_late_past() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
    frozen timestamptz;
    early record;
BEGIN
    SELECT max((facts->>'closes_at')::timestamptz) INTO frozen FROM acts WHERE kind = 'period' AND act = 'frozen';
    SELECT usage_id, received_at INTO early FROM arrivals WHERE received_at < frozen ORDER BY usage_id LIMIT 1;
    IF FOUND THEN
        RAISE EXCEPTION 'usage % arrived at %, and what was known until % is frozen', early.usage_id, early.received_at, frozen
            USING ERRCODE = 'restrict_violation', CONSTRAINT = 'nothing_arrives_in_a_frozen_past',
                DETAIL = json_build_object('usage_id', early.usage_id, 'received_at', early.received_at, 'frozen_until', frozen)::text,
                HINT = 'send it again: it arrives now, and is billed in the next period';
    END IF;
    RETURN NULL;
END
$$;
