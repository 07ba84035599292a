-- What has changed, so that a server that runs notices even if nobody tells it.

-- The last change of each account, of those that were removed, too. Numbers only grow.
CREATE TABLE account_change (
    account TEXT NOT NULL PRIMARY KEY,
    number BIGINT NOT NULL UNIQUE
);

-- The change that made the account, so that one of the same name is told from it, and the change that
-- gave it its password; 0 is before changes were numbered.
ALTER TABLE account ADD COLUMN made_by BIGINT NOT NULL DEFAULT 0;
ALTER TABLE account ADD COLUMN password_by BIGINT NOT NULL DEFAULT 0;
