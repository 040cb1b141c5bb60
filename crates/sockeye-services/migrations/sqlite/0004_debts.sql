-- A connection counts its files after it has answered for them, and another one may have removed some by then: `used` is
-- below 0 until both are counted. What is shown, and compared with a limit, is 0 then.
CREATE TABLE quotas_with_debts (
    owner VARCHAR(80) PRIMARY KEY,
    used BIGINT NOT NULL DEFAULT 0,
    reserved BIGINT NOT NULL DEFAULT 0 CHECK (reserved >= 0),
    -- NULL: the limit that the listener sets for all.
    most BIGINT CHECK (most >= 0),
    counted_by BIGINT NOT NULL DEFAULT 0
);

INSERT INTO quotas_with_debts SELECT owner, used, reserved, most, counted_by FROM quotas;

DROP TABLE quotas;

ALTER TABLE quotas_with_debts RENAME TO quotas;
