CREATE TABLE people (
    id TEXT NOT NULL,
    email TEXT NOT NULL,
    name VARCHAR NOT NULL,
    created_at TIMESTAMP WITH TIME ZONE NOT NULL,
    password VARCHAR,
    totp VARCHAR,
    totp_since TIMESTAMP WITH TIME ZONE,
    totp_step BIGINT NOT NULL,
    PRIMARY KEY (id),
    UNIQUE (email),
    CONSTRAINT people_second_factor_has_a_secret CHECK (totp_since IS NULL OR totp IS NOT NULL)
);

-- A party is a buyer's account, `provider:` and a grid, or `staff`, the broker itself.
CREATE TABLE memberships (
    party TEXT NOT NULL,
    person_id VARCHAR NOT NULL,
    role VARCHAR NOT NULL,
    since TIMESTAMP WITH TIME ZONE NOT NULL,
    PRIMARY KEY (party, person_id),
    FOREIGN KEY(person_id) REFERENCES people (id)
);

CREATE INDEX ix_memberships_person_id ON memberships (person_id);

CREATE TABLE person_sessions (
    id TEXT NOT NULL,
    digest BYTEA NOT NULL,
    person_id VARCHAR NOT NULL,
    party VARCHAR NOT NULL,
    proven BOOLEAN NOT NULL,
    created_at TIMESTAMP WITH TIME ZONE NOT NULL,
    seen_at TIMESTAMP WITH TIME ZONE NOT NULL,
    expires_at TIMESTAMP WITH TIME ZONE NOT NULL,
    agent VARCHAR NOT NULL,
    ended_at TIMESTAMP WITH TIME ZONE,
    PRIMARY KEY (id),
    UNIQUE (digest),
    FOREIGN KEY(person_id) REFERENCES people (id)
);

CREATE INDEX ix_person_sessions_person_id ON person_sessions (person_id);

CREATE TABLE recovery_codes (
    person_id VARCHAR NOT NULL,
    digest BYTEA NOT NULL,
    used_at TIMESTAMP WITH TIME ZONE,
    PRIMARY KEY (person_id, digest),
    FOREIGN KEY(person_id) REFERENCES people (id)
);

CREATE TABLE invitations (
    id TEXT NOT NULL,
    digest BYTEA NOT NULL,
    party VARCHAR NOT NULL,
    email VARCHAR NOT NULL,
    role VARCHAR NOT NULL,
    invited_by VARCHAR NOT NULL,
    created_at TIMESTAMP WITH TIME ZONE NOT NULL,
    expires_at TIMESTAMP WITH TIME ZONE NOT NULL,
    accepted_at TIMESTAMP WITH TIME ZONE,
    withdrawn_at TIMESTAMP WITH TIME ZONE,
    PRIMARY KEY (id),
    UNIQUE (digest)
);

CREATE INDEX ix_invitations_party ON invitations (party);

CREATE TABLE password_links (
    digest BYTEA NOT NULL,
    person_id VARCHAR NOT NULL,
    expires_at TIMESTAMP WITH TIME ZONE NOT NULL,
    PRIMARY KEY (digest),
    FOREIGN KEY(person_id) REFERENCES people (id)
);

CREATE TABLE known_elsewhere (
    issuer TEXT NOT NULL,
    subject TEXT NOT NULL,
    person_id VARCHAR NOT NULL,
    PRIMARY KEY (issuer, subject),
    FOREIGN KEY(person_id) REFERENCES people (id)
);

CREATE TABLE failed_sign_ins (
    number BIGINT GENERATED ALWAYS AS IDENTITY,
    subject BYTEA NOT NULL,
    at TIMESTAMP WITH TIME ZONE NOT NULL,
    PRIMARY KEY (number)
);

CREATE INDEX ix_failed_sign_ins_subject ON failed_sign_ins (subject);

CREATE INDEX ix_failed_sign_ins_at ON failed_sign_ins (at);

-- What was done about people: appended, never changed.
CREATE TABLE person_acts (
    number BIGINT GENERATED ALWAYS AS IDENTITY,
    at TIMESTAMP WITH TIME ZONE NOT NULL,
    party VARCHAR NOT NULL,
    actor VARCHAR NOT NULL,
    act VARCHAR NOT NULL,
    about VARCHAR NOT NULL,
    note VARCHAR NOT NULL,
    PRIMARY KEY (number)
);

CREATE INDEX ix_person_acts_party ON person_acts (party);

CREATE TRIGGER person_acts_are_facts BEFORE UPDATE OR DELETE ON person_acts
    FOR EACH ROW EXECUTE FUNCTION refuse_change();

CREATE TRIGGER person_acts_stay BEFORE TRUNCATE ON person_acts
    FOR EACH STATEMENT EXECUTE FUNCTION refuse_change();

-- Keys that people make have names, and say when they were last used.
ALTER TABLE api_keys ADD COLUMN name VARCHAR NOT NULL DEFAULT '';

ALTER TABLE api_keys ADD COLUMN made_by VARCHAR NOT NULL DEFAULT '';

ALTER TABLE api_keys ALTER COLUMN name DROP DEFAULT, ALTER COLUMN made_by DROP DEFAULT;

ALTER TABLE api_keys ADD COLUMN used_at TIMESTAMP WITH TIME ZONE;

-- What came in by the API, for a few days.
CREATE TABLE api_requests (
    number BIGINT GENERATED ALWAYS AS IDENTITY,
    party VARCHAR NOT NULL,
    key_id VARCHAR,
    at TIMESTAMP WITH TIME ZONE NOT NULL,
    method VARCHAR NOT NULL,
    path VARCHAR NOT NULL,
    status INTEGER NOT NULL,
    micros BIGINT NOT NULL,
    PRIMARY KEY (number)
);

CREATE INDEX ix_api_requests_party_number ON api_requests (party, number);

CREATE INDEX ix_api_requests_at ON api_requests (at);
