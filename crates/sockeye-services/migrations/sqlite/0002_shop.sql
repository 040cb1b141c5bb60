-- The shop: goods, what customers have and owe, and the books that say why. Money is in cents.

CREATE TABLE shop_goods (
    id INTEGER PRIMARY KEY,
    name TEXT NOT NULL UNIQUE,
    price INTEGER NOT NULL CHECK (price >= 0),
    stock INTEGER NOT NULL CHECK (stock >= 0)
) STRICT;

-- What came into the shop, and (less than nothing) what was lost from it: at any time the stock of a good is what was
-- delivered less what stands in shop_lines.
CREATE TABLE shop_deliveries (
    id INTEGER PRIMARY KEY,
    good INTEGER NOT NULL REFERENCES shop_goods (id),
    count INTEGER NOT NULL,
    at INTEGER NOT NULL
) STRICT;

-- The accounts of the books. 1 is what was sold, 2 is money brought in; the others are customers: users, and visitors,
-- who have no name. Of customers alone the balance is kept.
CREATE TABLE shop_accounts (
    id INTEGER PRIMARY KEY,
    name TEXT UNIQUE,
    balance INTEGER NOT NULL DEFAULT 0
) STRICT;
INSERT INTO shop_accounts (id) VALUES (1), (2);

-- Purchases, refunds, top-ups. `whose` is the name of the user, and empty for visitors, who share their keys.
CREATE TABLE shop_deals (
    id INTEGER PRIMARY KEY,
    account INTEGER NOT NULL REFERENCES shop_accounts (id),
    kind TEXT NOT NULL CHECK (kind IN ('purchase', 'refund', 'top-up')),
    -- What it added to the customer's balance, and what that was then.
    amount INTEGER NOT NULL,
    balance INTEGER NOT NULL,
    refunds INTEGER REFERENCES shop_deals (id),
    whose TEXT,
    key TEXT,
    -- Milliseconds since 1970.
    at INTEGER NOT NULL
) STRICT;
CREATE INDEX shop_deals_of_account ON shop_deals (account, id);
-- Nothing is refunded twice, no key is used twice.
CREATE UNIQUE INDEX shop_deals_refunded ON shop_deals (refunds) WHERE refunds IS NOT NULL;
CREATE UNIQUE INDEX shop_deals_by_key ON shop_deals (whose, key) WHERE key IS NOT NULL;

-- Pieces of a good that a deal took out of the shop; a refund brings them back, and counts below zero.
CREATE TABLE shop_lines (
    deal INTEGER NOT NULL REFERENCES shop_deals (id),
    good INTEGER NOT NULL REFERENCES shop_goods (id),
    count INTEGER NOT NULL,
    price INTEGER NOT NULL,
    PRIMARY KEY (deal, good)
) STRICT, WITHOUT ROWID;

-- The ledger: two entries for each deal, whose amounts add up to nothing.
CREATE TABLE shop_entries (
    deal INTEGER NOT NULL REFERENCES shop_deals (id),
    account INTEGER NOT NULL REFERENCES shop_accounts (id),
    amount INTEGER NOT NULL,
    PRIMARY KEY (deal, account)
) STRICT, WITHOUT ROWID;
