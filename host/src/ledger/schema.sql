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
    version BIGINT NOT NULL
);

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
    -- created, restored, done, refused, void or set-back; by an operator: enrolled, rotated, revoked or confirmed
    kind TEXT NOT NULL,
    -- created, restored: the identity from here on
    ledger TEXT,
    -- Whose operation it is and its id; none for a session without a name. set-back: the first number of the gap.
    terminal TEXT,
    id BIGINT,
    -- set-back: the first number above the gap
    numbers BIGINT,
    -- deposit, withdrawal or withdrawal-all
    operation TEXT,
    -- insufficient or balance-limit
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
    hash TEXT NOT NULL,
    PRIMARY KEY (journal, number)
);

-- Both sides of every movement: each entry that moved money has two rows, whose sum is zero.
CREATE VIEW movements AS
    SELECT journal, number, time, terminal, id, debit AS side, -amount AS amount
        FROM entries WHERE debit IS NOT NULL
    UNION ALL
    SELECT journal, number, time, terminal, id, credit AS side, amount
        FROM entries WHERE credit IS NOT NULL;
