-- What an account may use (NULL is without limit), and what it uses.

ALTER TABLE account ADD COLUMN quota_bytes BIGINT;
ALTER TABLE account ADD COLUMN quota_files BIGINT;

CREATE TABLE account_usage (
    account TEXT NOT NULL PRIMARY KEY REFERENCES account (name) ON DELETE CASCADE,
    -- The absolute path that was counted: the figures of another home are none of this one.
    home TEXT NOT NULL,
    bytes BIGINT NOT NULL,
    files BIGINT NOT NULL,
    -- FALSE while a server may be changing files: if it dies, they are counted again.
    clean BOOLEAN NOT NULL,
    -- An operator wants it counted anew by the server that runs.
    recount BOOLEAN NOT NULL
);

-- One row, if a server ever ran here.
CREATE TABLE server_run (
    -- Which start of the machine it was.
    boot TEXT NOT NULL,
    -- FALSE once it has stopped by itself.
    running BOOLEAN NOT NULL
);
