-- Offers come by the thousand, of one provider: a foreign key would look that provider up a thousand times.
ALTER TABLE offers DROP CONSTRAINT offers_provider_fkey;

CREATE FUNCTION offers_have_a_provider() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF EXISTS (SELECT FROM (SELECT DISTINCT provider FROM added) AS a WHERE NOT EXISTS (SELECT FROM providers p WHERE p.id = a.provider)) THEN
        RAISE foreign_key_violation USING MESSAGE = 'an offer is of a provider that is in providers';
    END IF;
    RETURN NULL;
END $$;

CREATE TRIGGER offers_have_a_provider AFTER INSERT ON offers REFERENCING NEW TABLE AS added
    FOR EACH STATEMENT EXECUTE FUNCTION offers_have_a_provider();

CREATE FUNCTION providers_with_offers_stay() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF EXISTS (SELECT FROM offers WHERE provider = OLD.id) THEN
        RAISE foreign_key_violation USING MESSAGE = 'a provider that has offers stays';
    END IF;
    RETURN OLD;
END $$;

CREATE TRIGGER providers_with_offers_stay BEFORE DELETE ON providers FOR EACH ROW EXECUTE FUNCTION providers_with_offers_stay();
