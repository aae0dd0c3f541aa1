-- What an account buys for. The one that every account has, `default`, is no row.
CREATE TABLE projects (
    id TEXT NOT NULL,
    account_id VARCHAR NOT NULL,
    name VARCHAR NOT NULL,
    created_at TIMESTAMP WITH TIME ZONE NOT NULL,
    archived_at TIMESTAMP WITH TIME ZONE,
    restricted BOOLEAN NOT NULL,
    PRIMARY KEY (id),
    CONSTRAINT projects_have_names UNIQUE (account_id, name),
    FOREIGN KEY(account_id) REFERENCES accounts (id)
);

-- Who may buy for a restricted one. Who leaves the organisation leaves its projects.
CREATE TABLE project_members (
    project_id VARCHAR NOT NULL,
    account_id VARCHAR NOT NULL,
    person_id VARCHAR NOT NULL,
    PRIMARY KEY (project_id, person_id),
    FOREIGN KEY(project_id) REFERENCES projects (id),
    FOREIGN KEY(account_id, person_id) REFERENCES memberships (party, person_id) ON DELETE CASCADE
);

-- What was bid until now belongs to the default project.
ALTER TABLE bids ADD COLUMN project_id VARCHAR NOT NULL DEFAULT 'default';

ALTER TABLE bids ALTER COLUMN project_id DROP DEFAULT;

-- A budget is of the whole account ('') or of one of its projects, and warns of several shares.
ALTER TABLE budgets ADD COLUMN project_id VARCHAR NOT NULL DEFAULT '', ADD COLUMN alert_percents INTEGER[];

UPDATE budgets SET alert_percents = ARRAY[alert_percent];

ALTER TABLE budgets DROP CONSTRAINT budgets_are_not_negative, DROP CONSTRAINT budgets_pkey;

ALTER TABLE budgets DROP COLUMN alert_percent, ALTER COLUMN project_id DROP DEFAULT, ALTER COLUMN alert_percents SET NOT NULL;

ALTER TABLE budgets ADD PRIMARY KEY (account_id, project_id), ADD CONSTRAINT budgets_are_not_negative CHECK (limit_micros >= 0);
