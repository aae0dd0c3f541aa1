CREATE TABLE lease_access (
    lease_id VARCHAR NOT NULL,
    endpoint VARCHAR NOT NULL,
    protocol VARCHAR NOT NULL,
    token VARCHAR NOT NULL,
    opened_at TIMESTAMP WITH TIME ZONE NOT NULL,
    PRIMARY KEY (lease_id),
    FOREIGN KEY(lease_id) REFERENCES leases (id)
);
