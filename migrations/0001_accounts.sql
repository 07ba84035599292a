CREATE TABLE account (
    name TEXT PRIMARY KEY NOT NULL,
    home TEXT NOT NULL UNIQUE,
    password_hash TEXT,
    created BIGINT NOT NULL
);

CREATE TABLE account_key (
    account TEXT NOT NULL REFERENCES account (name) ON DELETE CASCADE,
    fingerprint TEXT NOT NULL,
    line TEXT NOT NULL,
    added BIGINT NOT NULL,
    PRIMARY KEY (account, fingerprint)
);
