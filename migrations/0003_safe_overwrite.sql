-- Whether uploads of this account overwrite files safely; NULL is as config.toml says.

ALTER TABLE account ADD COLUMN safe_overwrite BOOLEAN;
