-- What holders offer on of their leases; the offer others see has the same id.
CREATE TABLE lease_resales (
    id TEXT NOT NULL,
    lease_id VARCHAR NOT NULL,
    offer_id VARCHAR NOT NULL,
    state VARCHAR NOT NULL,
    released BOOLEAN NOT NULL,
    created_at TIMESTAMP WITH TIME ZONE NOT NULL,
    slots JSONB NOT NULL,
    PRIMARY KEY (id),
    FOREIGN KEY(lease_id) REFERENCES leases (id),
    CONSTRAINT lease_resales_state CHECK (state IN ('open', 'withdrawn', 'ended'))
);

CREATE INDEX ix_lease_resales_lease_id ON lease_resales (lease_id);

-- One at a time: what is offered twice could be sold twice.
CREATE UNIQUE INDEX lease_resales_open ON lease_resales (lease_id) WHERE state = 'open';

-- Slots that changed hands, and the rate their holder goes on paying.
CREATE TABLE lease_sales (
    lease_id VARCHAR NOT NULL,
    slot_start TIMESTAMP WITH TIME ZONE NOT NULL,
    resale_id VARCHAR NOT NULL,
    of_lease_id VARCHAR NOT NULL,
    quantity INTEGER NOT NULL,
    rate_micros BIGINT NOT NULL,
    PRIMARY KEY (lease_id, slot_start),
    FOREIGN KEY(lease_id) REFERENCES leases (id),
    FOREIGN KEY(of_lease_id) REFERENCES leases (id),
    FOREIGN KEY(resale_id) REFERENCES lease_resales (id),
    CONSTRAINT lease_sales_move_something CHECK (quantity > 0)
);

CREATE INDEX ix_lease_sales_of_lease_id ON lease_sales (of_lease_id);

CREATE TRIGGER lease_sales_are_facts BEFORE UPDATE OR DELETE ON lease_sales
    FOR EACH ROW EXECUTE FUNCTION refuse_change();

-- A slot never has fewer accelerators than none, whoever bought them.
ALTER TABLE lease_slots ADD CONSTRAINT lease_slots_hold_something CHECK (quantity >= 0);
