-- A sum beyond 2^63 was kept as a fraction, and nobody could read the row any more. A STRICT table refuses it instead.
CREATE TABLE quotas_in_whole_bytes (
    owner TEXT PRIMARY KEY,
    used INTEGER NOT NULL DEFAULT 0,
    reserved INTEGER NOT NULL DEFAULT 0 CHECK (reserved >= 0),
    -- NULL: the limit that the listener sets for all.
    most INTEGER CHECK (most >= 0),
    counted_by INTEGER NOT NULL DEFAULT 0
) STRICT;

INSERT INTO quotas_in_whole_bytes (owner, used, reserved, most, counted_by)
    SELECT owner, used, reserved, most, counted_by FROM quotas
    WHERE typeof(used) = 'integer' AND typeof(reserved) = 'integer';

-- Of the others the limits stay: what is kept is counted anew by each server.
INSERT INTO quotas_in_whole_bytes (owner, most)
    SELECT owner, most FROM quotas
    WHERE most IS NOT NULL AND NOT (typeof(used) = 'integer' AND typeof(reserved) = 'integer');

DROP TABLE quotas;

ALTER TABLE quotas_in_whole_bytes RENAME TO quotas;
