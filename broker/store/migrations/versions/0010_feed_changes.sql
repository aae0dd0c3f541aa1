-- Which offers a revision of a feed changed: a view of the book reads those alone.
CREATE TABLE feed_changes (
    provider_id TEXT NOT NULL,
    revision BIGINT NOT NULL,
    offer_ids TEXT[] NOT NULL,
    PRIMARY KEY (provider_id, revision)
);
