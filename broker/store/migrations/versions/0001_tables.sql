CREATE TABLE closes (
    period INTEGER NOT NULL,
    month_start TIMESTAMP WITH TIME ZONE NOT NULL,
    month_end TIMESTAMP WITH TIME ZONE NOT NULL,
    closes_at TIMESTAMP WITH TIME ZONE NOT NULL,
    status VARCHAR NOT NULL,
    record JSONB NOT NULL,
    PRIMARY KEY (period)
);

CREATE TABLE cycles (
    id TEXT NOT NULL,
    number INTEGER NOT NULL,
    gate_at TIMESTAMP WITH TIME ZONE NOT NULL,
    start TIMESTAMP WITH TIME ZONE NOT NULL,
    slots INTEGER NOT NULL,
    slot_seconds INTEGER NOT NULL,
    status VARCHAR NOT NULL,
    token INTEGER NOT NULL,
    applied_at TIMESTAMP WITH TIME ZONE,
    finding VARCHAR NOT NULL,
    certificate JSONB,
    book BYTEA,
    PRIMARY KEY (id),
    UNIQUE (number)
);

CREATE INDEX ix_cycles_gate_at ON cycles (gate_at);

CREATE TABLE idempotency_keys (
    account_id TEXT NOT NULL,
    idempotency_key TEXT NOT NULL,
    request_digest BYTEA NOT NULL,
    status INTEGER NOT NULL,
    body BYTEA NOT NULL,
    created_at TIMESTAMP WITH TIME ZONE NOT NULL,
    PRIMARY KEY (account_id, idempotency_key)
);

CREATE TABLE journal_entries (
    id TEXT NOT NULL,
    kind VARCHAR NOT NULL,
    state VARCHAR NOT NULL,
    at TIMESTAMP WITH TIME ZONE NOT NULL,
    subject VARCHAR NOT NULL,
    reason VARCHAR NOT NULL,
    PRIMARY KEY (id)
);

CREATE INDEX ix_journal_entries_kind ON journal_entries (kind);

CREATE INDEX ix_journal_entries_state ON journal_entries (state);

CREATE INDEX ix_journal_entries_subject ON journal_entries (subject);

CREATE TABLE latencies (
    place TEXT NOT NULL,
    site TEXT NOT NULL,
    rtt_ms FLOAT NOT NULL,
    PRIMARY KEY (place, site)
);

CREATE TABLE offer_hours (
    offer_id TEXT NOT NULL,
    hour INTEGER NOT NULL,
    quantity INTEGER NOT NULL,
    rate_micros BIGINT NOT NULL,
    PRIMARY KEY (offer_id, hour)
);

CREATE TABLE plans (
    id TEXT NOT NULL,
    name VARCHAR NOT NULL,
    terms JSONB NOT NULL,
    PRIMARY KEY (id)
);

CREATE TABLE providers (
    id TEXT NOT NULL,
    name VARCHAR NOT NULL,
    country VARCHAR NOT NULL,
    kind VARCHAR NOT NULL,
    website VARCHAR NOT NULL,
    source VARCHAR NOT NULL,
    PRIMARY KEY (id)
);

CREATE TABLE transfers (
    from_country TEXT NOT NULL,
    to_country TEXT NOT NULL,
    micros_per_tb BIGINT NOT NULL,
    gbps FLOAT NOT NULL,
    PRIMARY KEY (from_country, to_country)
);

CREATE TABLE zone_hours (
    zone TEXT NOT NULL,
    hour TIMESTAMP WITH TIME ZONE NOT NULL,
    price_micros_per_mwh BIGINT,
    carbon_g_per_kwh FLOAT,
    renewable_share FLOAT,
    PRIMARY KEY (zone, hour)
);

CREATE TABLE accounts (
    id TEXT NOT NULL,
    name VARCHAR NOT NULL,
    story VARCHAR NOT NULL,
    country VARCHAR NOT NULL,
    parent_country VARCHAR NOT NULL,
    plan_id VARCHAR NOT NULL,
    currency VARCHAR NOT NULL,
    tax_bps INTEGER NOT NULL,
    take_bps INTEGER NOT NULL,
    credit_limit_micros BIGINT NOT NULL,
    PRIMARY KEY (id),
    FOREIGN KEY(plan_id) REFERENCES plans (id)
);

CREATE TABLE offers (
    id TEXT NOT NULL,
    version INTEGER NOT NULL,
    provider VARCHAR NOT NULL,
    site VARCHAR NOT NULL,
    country VARCHAR,
    subdivision VARCHAR,
    operator_country VARCHAR,
    parent_country VARCHAR,
    trust VARCHAR,
    hardware VARCHAR NOT NULL,
    chip_origin VARCHAR,
    memory_gb FLOAT,
    quantity INTEGER NOT NULL,
    node_size INTEGER NOT NULL,
    rate_micros BIGINT NOT NULL,
    firm BOOLEAN NOT NULL,
    uptime FLOAT,
    latitude FLOAT,
    longitude FLOAT,
    zone VARCHAR,
    watts FLOAT NOT NULL,
    pue FLOAT NOT NULL,
    energy_indexed BOOLEAN NOT NULL,
    certifications TEXT[],
    open_to TEXT[] NOT NULL,
    closed_to TEXT[] NOT NULL,
    observed_at TIMESTAMP WITH TIME ZONE NOT NULL,
    superseded_at TIMESTAMP WITH TIME ZONE,
    PRIMARY KEY (id, version),
    FOREIGN KEY(provider) REFERENCES providers (id)
);

CREATE INDEX ix_offers_hardware ON offers (hardware);

CREATE INDEX ix_offers_provider ON offers (provider);

CREATE UNIQUE INDEX offers_current ON offers (id) WHERE superseded_at IS NULL;

CREATE TABLE payouts (
    provider_id VARCHAR NOT NULL,
    period INTEGER NOT NULL,
    currency VARCHAR NOT NULL,
    gross_micros BIGINT NOT NULL,
    adjustments_micros BIGINT NOT NULL,
    net_micros BIGINT NOT NULL,
    PRIMARY KEY (provider_id, period, currency),
    FOREIGN KEY(provider_id) REFERENCES providers (id),
    FOREIGN KEY(period) REFERENCES closes (period)
);

CREATE TABLE postings (
    entry_id VARCHAR NOT NULL,
    line INTEGER NOT NULL,
    account VARCHAR NOT NULL,
    party VARCHAR NOT NULL,
    currency VARCHAR NOT NULL,
    amount_micros BIGINT NOT NULL,
    PRIMARY KEY (entry_id, line),
    FOREIGN KEY(entry_id) REFERENCES journal_entries (id)
);

CREATE INDEX ix_postings_account ON postings (account);

CREATE INDEX ix_postings_party ON postings (party);

CREATE TABLE prices (
    cycle_id VARCHAR NOT NULL,
    pool TEXT NOT NULL,
    slot_start TIMESTAMP WITH TIME ZONE NOT NULL,
    tier TEXT NOT NULL,
    site VARCHAR NOT NULL,
    country VARCHAR,
    hardware VARCHAR NOT NULL,
    firm BOOLEAN NOT NULL,
    rate_micros BIGINT NOT NULL,
    rate_low_micros BIGINT NOT NULL,
    rate_high_micros BIGINT NOT NULL,
    sold BIGINT NOT NULL,
    offered BIGINT NOT NULL,
    PRIMARY KEY (cycle_id, pool, slot_start, tier),
    FOREIGN KEY(cycle_id) REFERENCES cycles (id)
);

CREATE INDEX ix_prices_hardware ON prices (hardware);

CREATE TABLE receipts (
    cycle_id VARCHAR NOT NULL,
    offer_id TEXT NOT NULL,
    slot_start TIMESTAMP WITH TIME ZONE NOT NULL,
    sold INTEGER NOT NULL,
    received_micros BIGINT NOT NULL,
    premium_micros BIGINT NOT NULL,
    uplift_micros BIGINT NOT NULL,
    PRIMARY KEY (cycle_id, offer_id, slot_start),
    FOREIGN KEY(cycle_id) REFERENCES cycles (id)
);

CREATE TABLE api_keys (
    id TEXT NOT NULL,
    account_id VARCHAR NOT NULL,
    digest BYTEA NOT NULL,
    scopes TEXT[] NOT NULL,
    created_at TIMESTAMP WITH TIME ZONE NOT NULL,
    revoked_at TIMESTAMP WITH TIME ZONE,
    PRIMARY KEY (id),
    FOREIGN KEY(account_id) REFERENCES accounts (id),
    UNIQUE (digest)
);

CREATE INDEX ix_api_keys_account_id ON api_keys (account_id);

CREATE TABLE bids (
    id TEXT NOT NULL,
    account_id VARCHAR NOT NULL,
    entered_at TIMESTAMP WITH TIME ZONE NOT NULL,
    window_start TIMESTAMP WITH TIME ZONE NOT NULL,
    window_end TIMESTAMP WITH TIME ZONE NOT NULL,
    width INTEGER NOT NULL,
    hours FLOAT NOT NULL,
    hours_left FLOAT NOT NULL,
    status VARCHAR NOT NULL,
    requirements JSONB NOT NULL,
    PRIMARY KEY (id),
    FOREIGN KEY(account_id) REFERENCES accounts (id)
);

CREATE INDEX ix_bids_account_id ON bids (account_id);

CREATE INDEX ix_bids_status ON bids (status);

CREATE INDEX ix_bids_window_end ON bids (window_end);

CREATE TABLE invoice_lines (
    account_id VARCHAR NOT NULL,
    period INTEGER NOT NULL,
    line INTEGER NOT NULL,
    month INTEGER NOT NULL,
    kind VARCHAR NOT NULL,
    hardware VARCHAR,
    quantity_seconds BIGINT,
    amount_micros BIGINT NOT NULL,
    amount_cents BIGINT NOT NULL,
    PRIMARY KEY (account_id, period, line),
    FOREIGN KEY(account_id) REFERENCES accounts (id),
    FOREIGN KEY(period) REFERENCES closes (period)
);

CREATE TABLE invoices (
    account_id VARCHAR NOT NULL,
    period INTEGER NOT NULL,
    currency VARCHAR NOT NULL,
    subtotal_micros BIGINT NOT NULL,
    tax_micros BIGINT NOT NULL,
    total_micros BIGINT NOT NULL,
    subtotal_cents BIGINT NOT NULL,
    tax_cents BIGINT NOT NULL,
    payable_cents BIGINT NOT NULL,
    cost_micros BIGINT NOT NULL,
    take_micros BIGINT NOT NULL,
    PRIMARY KEY (account_id, period),
    FOREIGN KEY(account_id) REFERENCES accounts (id),
    FOREIGN KEY(period) REFERENCES closes (period)
);

CREATE TABLE awards (
    id TEXT NOT NULL,
    cycle_id VARCHAR NOT NULL,
    bid_id VARCHAR NOT NULL,
    offer_id VARCHAR NOT NULL,
    slot_start TIMESTAMP WITH TIME ZONE NOT NULL,
    tier VARCHAR NOT NULL,
    quantity INTEGER NOT NULL,
    rate_micros BIGINT NOT NULL,
    charge_micros BIGINT NOT NULL,
    PRIMARY KEY (id),
    FOREIGN KEY(cycle_id) REFERENCES cycles (id),
    FOREIGN KEY(bid_id) REFERENCES bids (id)
);

CREATE INDEX ix_awards_bid_id ON awards (bid_id);

CREATE INDEX ix_awards_cycle_id ON awards (cycle_id);

CREATE TABLE leases (
    id TEXT NOT NULL,
    cycle_id VARCHAR NOT NULL,
    bid_id VARCHAR NOT NULL,
    account_id VARCHAR NOT NULL,
    provider_id VARCHAR NOT NULL,
    offer_id VARCHAR NOT NULL,
    site VARCHAR NOT NULL,
    hardware VARCHAR NOT NULL,
    tier VARCHAR NOT NULL,
    state VARCHAR NOT NULL,
    accelerators INTEGER NOT NULL,
    starts_at TIMESTAMP WITH TIME ZONE NOT NULL,
    ends_at TIMESTAMP WITH TIME ZONE NOT NULL,
    PRIMARY KEY (id),
    FOREIGN KEY(cycle_id) REFERENCES cycles (id),
    FOREIGN KEY(bid_id) REFERENCES bids (id),
    FOREIGN KEY(account_id) REFERENCES accounts (id),
    FOREIGN KEY(provider_id) REFERENCES providers (id)
);

CREATE INDEX ix_leases_account_id ON leases (account_id);

CREATE INDEX ix_leases_bid_id ON leases (bid_id);

CREATE INDEX ix_leases_cycle_id ON leases (cycle_id);

CREATE INDEX ix_leases_ends_at ON leases (ends_at);

CREATE INDEX ix_leases_provider_id ON leases (provider_id);

CREATE INDEX ix_leases_starts_at ON leases (starts_at);

CREATE INDEX ix_leases_state ON leases (state);

CREATE TABLE outcomes (
    cycle_id VARCHAR NOT NULL,
    bid_id VARCHAR NOT NULL,
    status VARCHAR NOT NULL,
    hours FLOAT NOT NULL,
    reference_hours FLOAT NOT NULL,
    paid_micros BIGINT NOT NULL,
    fee_micros BIGINT NOT NULL,
    transfer_micros BIGINT NOT NULL,
    uplift_micros BIGINT NOT NULL,
    reason VARCHAR NOT NULL,
    PRIMARY KEY (cycle_id, bid_id),
    FOREIGN KEY(cycle_id) REFERENCES cycles (id),
    FOREIGN KEY(bid_id) REFERENCES bids (id)
);

CREATE TABLE lease_events (
    lease_id VARCHAR NOT NULL,
    sequence INTEGER NOT NULL,
    state VARCHAR NOT NULL,
    at TIMESTAMP WITH TIME ZONE NOT NULL,
    reason VARCHAR NOT NULL,
    PRIMARY KEY (lease_id, sequence),
    FOREIGN KEY(lease_id) REFERENCES leases (id)
);

CREATE TABLE lease_slots (
    lease_id VARCHAR NOT NULL,
    slot_start TIMESTAMP WITH TIME ZONE NOT NULL,
    slot_end TIMESTAMP WITH TIME ZONE NOT NULL,
    quantity INTEGER NOT NULL,
    rate_micros BIGINT NOT NULL,
    PRIMARY KEY (lease_id, slot_start),
    FOREIGN KEY(lease_id) REFERENCES leases (id)
);

CREATE TABLE usage_records (
    usage_id TEXT NOT NULL,
    rev INTEGER NOT NULL,
    lease_id VARCHAR NOT NULL,
    start TIMESTAMP WITH TIME ZONE NOT NULL,
    "end" TIMESTAMP WITH TIME ZONE NOT NULL,
    accelerator_seconds BIGINT NOT NULL,
    status VARCHAR NOT NULL,
    received_at TIMESTAMP WITH TIME ZONE NOT NULL,
    digest BYTEA NOT NULL,
    PRIMARY KEY (usage_id, rev),
    FOREIGN KEY(lease_id) REFERENCES leases (id)
);

CREATE INDEX ix_usage_records_lease_id ON usage_records (lease_id);

CREATE INDEX ix_usage_records_received_at ON usage_records (received_at);

