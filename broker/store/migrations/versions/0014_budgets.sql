-- The most an account may agree to in a month, as it set itself.
CREATE TABLE budgets (
    account_id VARCHAR NOT NULL,
    limit_micros BIGINT NOT NULL,
    alert_percent INTEGER NOT NULL,
    set_by VARCHAR NOT NULL,
    set_at TIMESTAMP WITH TIME ZONE NOT NULL,
    PRIMARY KEY (account_id),
    FOREIGN KEY(account_id) REFERENCES accounts (id),
    CONSTRAINT budgets_are_not_negative CHECK (limit_micros >= 0 AND alert_percent BETWEEN 1 AND 100)
);
