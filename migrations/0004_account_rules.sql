-- What an account may do, and who may log in to it; each default is as it was before.

-- A set of permissions for the home, then a line "/path=SET" for each directory of its own.
ALTER TABLE account ADD COLUMN permissions TEXT NOT NULL DEFAULT 'full';
-- Networks that it may log in from, with spaces between them; '' is anywhere.
ALTER TABLE account ADD COLUMN networks TEXT NOT NULL DEFAULT '';
-- From this time on nobody logs in.
ALTER TABLE account ADD COLUMN expires_at BIGINT;
ALTER TABLE account ADD COLUMN disabled BOOLEAN NOT NULL DEFAULT FALSE;
ALTER TABLE account ADD COLUMN max_sessions BIGINT;
ALTER TABLE account ADD COLUMN login_policy TEXT NOT NULL DEFAULT 'any';
-- In bytes a second, over all its sessions; NULL is without limit.
ALTER TABLE account ADD COLUMN upload_rate BIGINT;
ALTER TABLE account ADD COLUMN download_rate BIGINT;
-- It stands in config.toml, and is changed there.
ALTER TABLE account ADD COLUMN declared BOOLEAN NOT NULL DEFAULT FALSE;
