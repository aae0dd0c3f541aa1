CREATE TABLE feed_sessions (
    provider_id VARCHAR NOT NULL,
    revision BIGINT NOT NULL,
    state BYTEA NOT NULL,
    silent_at TIMESTAMP WITH TIME ZONE,
    trust VARCHAR NOT NULL,
    PRIMARY KEY (provider_id),
    FOREIGN KEY(provider_id) REFERENCES providers (id)
);

-- Whoever writes entries holds the session's row, which has the provider: a foreign key here would look every row up again.
CREATE TABLE feed_offers (
    provider_id TEXT NOT NULL,
    staged BOOLEAN NOT NULL,
    offer_id TEXT NOT NULL,
    entry BYTEA NOT NULL,
    until TIMESTAMP WITH TIME ZONE NOT NULL,
    state VARCHAR NOT NULL,
    reason VARCHAR NOT NULL,
    suspect VARCHAR NOT NULL,
    PRIMARY KEY (provider_id, staged, offer_id)
);

CREATE TABLE feed_events (
    id BIGINT GENERATED ALWAYS AS IDENTITY,
    provider_id VARCHAR NOT NULL,
    kind VARCHAR NOT NULL,
    digest BYTEA NOT NULL,
    at TIMESTAMP WITH TIME ZONE NOT NULL,
    facts BYTEA NOT NULL,
    PRIMARY KEY (id),
    FOREIGN KEY(provider_id) REFERENCES providers (id),
    CONSTRAINT feed_events_once UNIQUE (provider_id, kind, digest)
);

CREATE TRIGGER feed_events_are_facts BEFORE UPDATE OR DELETE ON feed_events
    FOR EACH ROW EXECUTE FUNCTION refuse_change();
