-- Accounts and their keys. The SQL is kept to what SQLite and PostgreSQL both understand.
-- Times are seconds since 1970-01-01 00:00 UTC.

CREATE TABLE account (
    name TEXT NOT NULL PRIMARY KEY,
    -- An absolute path; NULL is the account's own folder under data/homes, wherever data lies.
    home TEXT UNIQUE,
    -- A PHC string (argon2id); NULL is an account without a password.
    password_hash TEXT,
    created_at BIGINT NOT NULL
);

CREATE TABLE account_key (
    account TEXT NOT NULL REFERENCES account (name) ON DELETE CASCADE,
    -- The kind and the key in base64, as in an authorized_keys file.
    public_key TEXT NOT NULL,
    fingerprint TEXT NOT NULL,
    comment TEXT NOT NULL,
    -- The options as they were given; each is one that the server honours.
    options TEXT NOT NULL,
    -- From this time on the key is refused.
    expires_at BIGINT,
    added_at BIGINT NOT NULL,
    PRIMARY KEY (account, public_key)
);
