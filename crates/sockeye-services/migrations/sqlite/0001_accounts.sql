-- Who may log in. Of a password only a SCRAM verifier is kept (RFC 5802), from which nobody can log in.

CREATE TABLE accounts (
    id INTEGER PRIMARY KEY,
    name TEXT NOT NULL UNIQUE,
    -- The name in small letters: no two accounts differ in these alone.
    folded TEXT NOT NULL UNIQUE,
    salt BLOB NOT NULL,
    iterations INTEGER NOT NULL CHECK (iterations > 0),
    stored_key BLOB NOT NULL,
    server_key BLOB NOT NULL,
    disabled INTEGER NOT NULL DEFAULT 0 CHECK (disabled IN (0, 1)),
    -- Seconds since 1970.
    created BIGINT NOT NULL
);

-- The hashes of codes that are good for one registration each.
CREATE TABLE invitations (
    code BLOB PRIMARY KEY,
    created BIGINT NOT NULL
);

-- Random bytes that were made once: those from which the salts of unknown users are derived.
CREATE TABLE secrets (
    name TEXT PRIMARY KEY,
    value BLOB NOT NULL
);

-- Failed logins of an address or a name, which is hashed into one of a limited number of buckets.
CREATE TABLE penalties (
    bucket BIGINT PRIMARY KEY,
    failures BIGINT NOT NULL,
    -- Milliseconds since 1970.
    last BIGINT NOT NULL,
    free_at BIGINT NOT NULL
);

-- Where an account has been logged in from: strangers' failures don't hold up its owner there.
CREATE TABLE known_addresses (
    account BIGINT NOT NULL REFERENCES accounts (id) ON DELETE CASCADE,
    address BIGINT NOT NULL,
    seen BIGINT NOT NULL,
    PRIMARY KEY (account, address)
);
