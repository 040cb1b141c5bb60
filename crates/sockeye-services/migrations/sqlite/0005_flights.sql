-- Attempts to log in that are looked at just now, and when the latest of them began, in milliseconds since 1970. They count
-- while they last; only those that have failed are remembered.
ALTER TABLE penalties ADD COLUMN flying BIGINT NOT NULL DEFAULT 0;
ALTER TABLE penalties ADD COLUMN begun BIGINT NOT NULL DEFAULT 0;
