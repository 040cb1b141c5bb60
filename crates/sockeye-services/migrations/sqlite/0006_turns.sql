-- Turns that were promised to who came too early to an account under attack: each half a minute, in which nobody else is looked at.
-- A row for each bucket of names with places, so at most 65,536.
CREATE TABLE login_turns (
    place BIGINT PRIMARY KEY,
    -- The bucket that counts the failures: of the name, or of the name with an address that it was used from.
    name BIGINT NOT NULL,
    -- Milliseconds since 1970.
    begins BIGINT NOT NULL,
    -- How often it was asked for before it began: more than once, and several share the place, or one is in a hurry.
    asked BIGINT NOT NULL
);
CREATE INDEX login_turns_of_name ON login_turns (name, begins);
