-- How often any account was changed, by whatever program: servers look at this number to know whether they have to look at the
-- accounts of those who are logged in.
CREATE TABLE account_changes (number BIGINT NOT NULL);

INSERT INTO account_changes (number) VALUES (0);

CREATE TRIGGER account_changed AFTER UPDATE ON accounts
BEGIN
    UPDATE account_changes SET number = number + 1;
END;

CREATE TRIGGER account_removed AFTER DELETE ON accounts
BEGIN
    UPDATE account_changes SET number = number + 1;
END;
