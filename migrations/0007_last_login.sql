-- The last login to each account.

CREATE TABLE account_login (
    account TEXT NOT NULL PRIMARY KEY REFERENCES account (name) ON DELETE CASCADE,
    at BIGINT NOT NULL,
    -- As in the audit log: password, publickey, ...
    method TEXT NOT NULL,
    -- The client's IP address.
    address TEXT NOT NULL
);

-- One row: since when logins are recorded, in UTC. An account that is older may have had some before.
CREATE TABLE login_record (
    began TEXT NOT NULL
);
INSERT INTO login_record (began) VALUES (CURRENT_TIMESTAMP);

-- Counted for lists before anybody logged in: the first login counts anew.
ALTER TABLE account_usage ADD COLUMN provisional BOOLEAN NOT NULL DEFAULT FALSE;
