-- One UTC day of ticks; one file a day. Times in `tick` and `touched` are nanoseconds since the start of the day.

-- What this file is, in one row. `day` is the day's first moment, in nanoseconds since the Unix epoch. `base` is the id of
-- the Parquet file that holds the rest of the day, where it was sealed; `unsealing` says that this file is to replace that.
CREATE TABLE segment (
    day INTEGER NOT NULL,
    base TEXT,
    unsealing INTEGER NOT NULL DEFAULT 0
) STRICT;

-- `first` and `last` are times in nanoseconds since the Unix epoch, of the `count` ticks.
CREATE TABLE symbol (
    id INTEGER PRIMARY KEY,
    name TEXT NOT NULL UNIQUE,
    count INTEGER NOT NULL,
    first INTEGER NOT NULL,
    last INTEGER NOT NULL
) STRICT;

-- What few ticks differ in. A price is its number in `tick` divided by the divisor, 0 where it is absent.
CREATE TABLE form (
    id INTEGER PRIMARY KEY,
    source TEXT NOT NULL,
    flags INTEGER NOT NULL,
    bid_divisor INTEGER NOT NULL,
    ask_divisor INTEGER NOT NULL,
    volume_divisor INTEGER NOT NULL,
    UNIQUE (source, flags, bid_divisor, ask_divisor, volume_divisor)
) STRICT;

-- `ask` counts from `bid` where both have the same divisor, `received` from the tick's own time: small numbers are short.
CREATE TABLE tick (
    symbol INTEGER NOT NULL,
    ts INTEGER NOT NULL,
    seq INTEGER NOT NULL,
    form INTEGER NOT NULL,
    bid INTEGER NOT NULL,
    ask INTEGER NOT NULL,
    volume INTEGER NOT NULL,
    received INTEGER NOT NULL,
    PRIMARY KEY (symbol, ts, seq)
) STRICT, WITHOUT ROWID;

-- Where each commit added ticks: the ground of `changes`. Old entries of a symbol are united.
CREATE TABLE touched (
    rev INTEGER NOT NULL,
    symbol INTEGER NOT NULL,
    first INTEGER NOT NULL,
    last INTEGER NOT NULL,
    PRIMARY KEY (rev, symbol)
) STRICT, WITHOUT ROWID;

-- The last batch of each source that this file has, and what became of its ticks here.
CREATE TABLE batch_source (
    source BLOB PRIMARY KEY,
    seq INTEGER NOT NULL,
    at INTEGER NOT NULL,
    stored INTEGER NOT NULL,
    duplicate INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

-- Milliseconds since the Unix epoch; prices as numbers.
CREATE VIEW ticks (symbol, timestamp, bid, ask, spread, lp_source, created_at) AS
SELECT symbol, time / 1000000, bid, ask, iif(alike, above * 1.0 / divisor, ask - bid), source, (time + received) / 1000000
FROM (
    SELECT symbol.name AS symbol, segment.day + tick.ts AS time, tick.received, form.source,
        form.ask_divisor = form.bid_divisor AS alike, form.ask_divisor AS divisor, tick.ask AS above,
        tick.bid * 1.0 / form.bid_divisor AS bid,
        (tick.ask + iif(form.ask_divisor = form.bid_divisor, tick.bid, 0)) * 1.0 / form.ask_divisor AS ask
    FROM segment, symbol
    JOIN tick ON tick.symbol = symbol.id
    JOIN form ON form.id = tick.form
);
