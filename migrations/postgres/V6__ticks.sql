-- Ticks: one row each, in partitions by UTC day that a commit makes when it first needs them. Prices are mantissas; the
-- places behind their points and the tick's flags lie packed in `shape` (5 bits each for bid, ask and volume, then 8 of flags).

CREATE TABLE tick_symbol (
    id integer GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    name text COLLATE "C" NOT NULL UNIQUE
);

CREATE TABLE tick_source (
    id integer GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    name text COLLATE "C" NOT NULL UNIQUE
);

CREATE TABLE tick (
    "time" bigint NOT NULL,
    seq bigint NOT NULL,
    received bigint NOT NULL,
    bid bigint,
    ask bigint,
    volume bigint,
    symbol integer NOT NULL,
    source integer NOT NULL,
    shape integer NOT NULL,
    PRIMARY KEY (symbol, "time", seq)
) PARTITION BY RANGE ("time");

-- Totals of a symbol in a day (its number since 1970), kept in the transaction that stores the ticks.
CREATE TABLE tick_day (
    day bigint NOT NULL,
    symbol integer NOT NULL,
    count bigint NOT NULL,
    first bigint NOT NULL,
    last bigint NOT NULL,
    PRIMARY KEY (day, symbol)
);

-- What a commit touched: a range of keys of one symbol in one day. `changes` reads the ticks in it.
CREATE TABLE tick_touched (
    rev bigint NOT NULL,
    day bigint NOT NULL,
    symbol integer NOT NULL,
    first_time bigint NOT NULL,
    first_seq bigint NOT NULL,
    last_time bigint NOT NULL,
    last_seq bigint NOT NULL,
    PRIMARY KEY (rev, day, symbol)
);

-- The documented form: times in milliseconds since the Unix epoch, prices as exact numbers.
CREATE VIEW ticks (symbol, "timestamp", bid, ask, spread, lp_source, created_at) AS
SELECT y.name, t."time" / 1000000, p.bid, p.ask, p.ask - p.bid, o.name, t.received / 1000000
FROM tick AS t
JOIN tick_symbol AS y ON y.id = t.symbol
JOIN tick_source AS o ON o.id = t.source
CROSS JOIN LATERAL (
    SELECT trim_scale(t.bid / 10::numeric ^ (t.shape & 31)), trim_scale(t.ask / 10::numeric ^ ((t.shape >> 5) & 31))
) AS p (bid, ask);
