-- The ledger's tables, for SQLite and PostgreSQL. Money is in minor units, times are in Unix milliseconds, numbers of
-- replies are below 2^53.

-- One row: which ledger this is.
CREATE TABLE ledger (
    format BIGINT NOT NULL,
    -- 16 hexadecimal digits; another one after a restore.
    identity TEXT NOT NULL
);

-- A journal has one writer: a host, or the command line.
CREATE TABLE journals (
    journal BIGINT PRIMARY KEY,
    name TEXT NOT NULL UNIQUE,
    -- Raised by every process that opens the journal; a process of an earlier epoch is fenced.
    epoch BIGINT NOT NULL,
    -- The random number of that process.
    owner TEXT NOT NULL,
    -- Commits, also those without an entry.
    batches BIGINT NOT NULL,
    -- The last entry and its hash.
    number BIGINT NOT NULL,
    hash TEXT NOT NULL
);

CREATE TABLE accounts (
    account BIGINT PRIMARY KEY,
    balance BIGINT NOT NULL CHECK (balance >= 0),
    -- Counts the movements: orders the account's entries across journals.
    version BIGINT NOT NULL,
    -- None: the account of open access, number 1, which no card reaches
    owner TEXT,
    -- open, frozen or closed
    state TEXT NOT NULL DEFAULT 'open'
);

-- Cards, and the decoy, on which the PIN of an unknown card is judged.
CREATE TABLE cards (
    -- A running number, which is shown to operators; 0 for the decoy
    card BIGINT PRIMARY KEY,
    -- Stands for the card's number: the id of the key that it was made with and the keyed value, in hexadecimal digits
    token TEXT UNIQUE,
    -- Stands for the PIN: the ids of the keys of its token and of PINs, and the keyed value
    verifier TEXT,
    -- The last four digits of the card's number
    last_four TEXT,
    -- The numbers of its accounts, at most four, with a blank between them
    accounts TEXT NOT NULL,
    -- Wrong PINs since the last right one; three block the card.
    tries BIGINT NOT NULL,
    -- Refused verifications in all
    refusals BIGINT NOT NULL,
    blocked BIGINT NOT NULL,
    -- Raised by each change of PIN, block and unblock: sessions of an earlier version are over.
    version BIGINT NOT NULL,
    -- The day of its last withdrawal, counted from the beginning of 1970 in UTC, and the sum of that day
    day BIGINT NOT NULL,
    withdrawn BIGINT NOT NULL
);

INSERT INTO cards (card, accounts, tries, refusals, blocked, version, day, withdrawn)
    VALUES (0, '', 0, 0, 1, 0, 0, 0);

CREATE TABLE terminals (
    terminal TEXT PRIMARY KEY,
    -- The epoch of the hello that was admitted last, or that of its enrolment: no smaller one is admitted. Series and step
    -- are those of the terminal's key, 0 without one.
    epoch_series BIGINT,
    epoch_step BIGINT,
    start BIGINT,
    attempt BIGINT,
    -- Counts the admitted hellos, and the enrolments that ended a conversation.
    turn BIGINT NOT NULL,
    -- The first number that is not reserved for its replies.
    next_number BIGINT NOT NULL,
    -- Numbers from gap_start to gap_end - 1 belong to another history: their outcomes are unknown.
    gap_start BIGINT NOT NULL,
    gap_end BIGINT NOT NULL,
    set_back_at BIGINT,
    -- Its last operation, a void if there is no last_operation, and its outcome.
    last_id BIGINT,
    last_operation TEXT,
    last_outcome TEXT,
    last_amount BIGINT,
    last_balance BIGINT,
    -- The token of its card, the account that money was to go to, and the other columns of its outcome: as in the entries
    last_card TEXT,
    last_payee BIGINT,
    last_detail BIGINT,
    -- verification: the card's accounts
    last_accounts TEXT,
    -- No PIN is judged there before this time, after refused ones; and the length of that delay in milliseconds
    delay_until BIGINT NOT NULL DEFAULT 0,
    delay_length BIGINT NOT NULL DEFAULT 0,
    -- The highest series of keys that was issued for it; 0 before the first. A row whose epoch is above it is revoked.
    series BIGINT NOT NULL DEFAULT 0,
    -- Whether it is served over TLS under a certificate.
    tls BIGINT NOT NULL DEFAULT 0,
    -- Whether it is out of service until an operator confirms it.
    closed BIGINT NOT NULL DEFAULT 0
);

-- Append-only. The hash of an entry is the SHA-256 of the hash before it, a line feed and the entry's line (atm ledger
-- export), so that a journal is a chain.
CREATE TABLE entries (
    journal BIGINT NOT NULL,
    number BIGINT NOT NULL,
    time BIGINT NOT NULL,
    -- created, restored, done, refused, void or set-back; by an operator about a terminal: enrolled, rotated, revoked or
    -- confirmed, about an account: opened, frozen, unfrozen or closed, about a card: issued, blocked, unblocked or pin-set
    kind TEXT NOT NULL,
    -- created, restored: the identity from here on
    ledger TEXT,
    -- Whose operation it is and its id; none for a session without a name. set-back: the first number of the gap.
    terminal TEXT,
    id BIGINT,
    -- set-back: the first number above the gap
    numbers BIGINT,
    -- deposit, withdrawal or withdrawal-all; with cards also transfer, verification or pin-change
    operation TEXT,
    -- refused: insufficient, balance-limit, or another word of the json wire
    reason TEXT,
    account BIGINT,
    -- Both sides of a movement: opening, cash, cash:TERMINAL or account:N
    debit TEXT,
    credit TEXT,
    -- What was moved, or what was requested and refused
    amount BIGINT,
    -- The account's balance and version after it
    balance BIGINT,
    version BIGINT,
    -- enrolled, rotated, revoked: the highest series of the terminal's keys; none if it has a certificate
    series BIGINT,
    -- The operator's user id, where the system has one
    uid BIGINT,
    -- The card's number in its table; 0 for an unknown card
    card BIGINT,
    -- issued: the card's accounts
    accounts TEXT,
    -- opened: the account's owner; a byte that is no letter of ASCII, digit, blank, dot or hyphen is %XX
    owner TEXT,
    -- transfer: the account that money was to go to, and its balance and version if it went there
    payee BIGINT,
    payee_balance BIGINT,
    payee_version BIGINT,
    -- verification: the card's version; withdrawal-limit: the limit; day-limit: what is left of it; delayed: seconds
    detail BIGINT,
    -- issued, pin-set, and where a PIN was right: 4 digits of the SHA-256 of the ids of its keys, and 12 of that of
    -- "TOKEN,VERIFIER,LAST_FOUR" of the card's row after it
    digest TEXT,
    hash TEXT NOT NULL,
    PRIMARY KEY (journal, number)
);

-- The movements of cards' sessions by account, for statements. Open access has no row in them.
CREATE INDEX movements_of_accounts ON entries (account, version) WHERE card IS NOT NULL AND debit IS NOT NULL;
CREATE INDEX movements_of_payees ON entries (payee, payee_version) WHERE payee_version IS NOT NULL;

-- Both sides of every movement: each entry that moved money has two rows, whose sum is zero.
CREATE VIEW movements AS
    SELECT journal, number, time, terminal, id, debit AS side, -amount AS amount
        FROM entries WHERE debit IS NOT NULL
    UNION ALL
    SELECT journal, number, time, terminal, id, credit AS side, amount
        FROM entries WHERE credit IS NOT NULL;
