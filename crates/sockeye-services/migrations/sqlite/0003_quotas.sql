-- How much each owner of files keeps, in bytes. It is counted anew in the folders by each server, so nothing here outlives
-- a crash but the limits.
CREATE TABLE quotas (
    owner VARCHAR(80) PRIMARY KEY,
    used BIGINT NOT NULL DEFAULT 0 CHECK (used >= 0),
    reserved BIGINT NOT NULL DEFAULT 0 CHECK (reserved >= 0),
    -- NULL: the limit that the listener sets for all.
    most BIGINT CHECK (most >= 0),
    counted_by BIGINT NOT NULL DEFAULT 0
);
