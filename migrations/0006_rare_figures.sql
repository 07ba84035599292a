-- What the server asks for every second, and at its start, are few rows of many: found without
-- reading the others.

CREATE INDEX account_usage_recount ON account_usage (account) WHERE recount;
CREATE INDEX account_usage_unclean ON account_usage (account) WHERE NOT clean;
