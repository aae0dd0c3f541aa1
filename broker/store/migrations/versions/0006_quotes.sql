-- A firm rate and the accelerators it is firm for: held while it is open and has not expired.
CREATE TABLE quotes (
    id TEXT NOT NULL,
    account_id VARCHAR NOT NULL,
    offer_id VARCHAR NOT NULL,
    offer_version INTEGER NOT NULL,
    provider_id VARCHAR NOT NULL,
    site VARCHAR NOT NULL,
    hardware VARCHAR NOT NULL,
    tier VARCHAR NOT NULL,
    accelerators INTEGER NOT NULL,
    rate_micros BIGINT NOT NULL,
    fee_micros BIGINT NOT NULL,
    currency VARCHAR NOT NULL,
    starts_at TIMESTAMP WITH TIME ZONE NOT NULL,
    ends_at TIMESTAMP WITH TIME ZONE NOT NULL,
    slot_seconds INTEGER NOT NULL,
    state VARCHAR NOT NULL,
    created_at TIMESTAMP WITH TIME ZONE NOT NULL,
    expires_at TIMESTAMP WITH TIME ZONE NOT NULL,
    extends VARCHAR,
    request JSONB NOT NULL,
    PRIMARY KEY (id),
    FOREIGN KEY(account_id) REFERENCES accounts (id),
    FOREIGN KEY(provider_id) REFERENCES providers (id),
    FOREIGN KEY(extends) REFERENCES leases (id),
    CONSTRAINT quotes_state CHECK (state IN ('open', 'accepted', 'expired', 'withdrawn')),
    CONSTRAINT quotes_hold_something CHECK (accelerators > 0 AND ends_at > starts_at)
);

CREATE INDEX ix_quotes_account_id ON quotes (account_id);

CREATE INDEX quotes_open ON quotes (offer_id, expires_at) WHERE state = 'open';

-- A lease may come of a quote instead of a cycle, and may be the going on of another.
ALTER TABLE leases ALTER COLUMN cycle_id DROP NOT NULL;

ALTER TABLE leases ADD COLUMN continues VARCHAR REFERENCES leases (id);

CREATE INDEX ix_leases_continues ON leases (continues);

-- Whose doing the end of a lease was.
ALTER TABLE lease_events ADD COLUMN closed_by VARCHAR;

ALTER TABLE lease_events ADD CONSTRAINT lease_events_closed_by CHECK (closed_by IN ('owner', 'provider', 'network'));

-- What a lease that broke off still owes: served first, elsewhere, at no more than its old rate.
CREATE TABLE lease_failovers (
    lease_id VARCHAR NOT NULL,
    at TIMESTAMP WITH TIME ZONE NOT NULL,
    state VARCHAR NOT NULL,
    rest JSONB NOT NULL,
    PRIMARY KEY (lease_id),
    FOREIGN KEY(lease_id) REFERENCES leases (id),
    CONSTRAINT lease_failovers_state CHECK (state IN ('waiting', 'placed', 'returned'))
);

-- Where somebody wants to be told of what happens, signed with a secret both know.
CREATE TABLE webhook_endpoints (
    id TEXT NOT NULL,
    owner VARCHAR NOT NULL,
    url VARCHAR NOT NULL,
    kinds TEXT[] NOT NULL,
    secret VARCHAR NOT NULL,
    secret_before VARCHAR,
    secret_before_until TIMESTAMP WITH TIME ZONE,
    created_at TIMESTAMP WITH TIME ZONE NOT NULL,
    closed_at TIMESTAMP WITH TIME ZONE,
    PRIMARY KEY (id)
);

CREATE INDEX ix_webhook_endpoints_owner ON webhook_endpoints (owner);

-- What is to be said: written where it happens, in one transaction with it, and never changed.
CREATE TABLE webhook_messages (
    number BIGINT GENERATED ALWAYS AS IDENTITY,
    id TEXT NOT NULL,
    owner VARCHAR NOT NULL,
    kind VARCHAR NOT NULL,
    at TIMESTAMP WITH TIME ZONE NOT NULL,
    body BYTEA NOT NULL,
    PRIMARY KEY (number),
    UNIQUE (id)
);

CREATE INDEX ix_webhook_messages_owner_number ON webhook_messages (owner, number);

CREATE TRIGGER webhook_messages_are_facts BEFORE UPDATE OR DELETE ON webhook_messages
    FOR EACH ROW EXECUTE FUNCTION refuse_change();

CREATE TABLE webhook_deliveries (
    endpoint_id VARCHAR NOT NULL,
    message_number BIGINT NOT NULL,
    state VARCHAR NOT NULL,
    attempts INTEGER NOT NULL,
    next_at TIMESTAMP WITH TIME ZONE NOT NULL,
    answered INTEGER,
    finding VARCHAR NOT NULL,
    PRIMARY KEY (endpoint_id, message_number),
    FOREIGN KEY(endpoint_id) REFERENCES webhook_endpoints (id),
    CONSTRAINT webhook_deliveries_state CHECK (state IN ('waiting', 'delivered', 'given_up'))
);

CREATE INDEX webhook_deliveries_waiting ON webhook_deliveries (next_at) WHERE state = 'waiting';
