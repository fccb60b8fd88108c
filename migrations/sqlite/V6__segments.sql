-- The days of ticks, each with files of its own below `ticks/`: no tick of a day was added before the commit `first_rev` or
-- after the commit `rev`. `day` is its first moment. And what became of the ticks of the last batch of each source.

CREATE TABLE segment (
    day INTEGER PRIMARY KEY,
    first_rev INTEGER NOT NULL,
    rev INTEGER NOT NULL
) STRICT;

ALTER TABLE batch_source ADD COLUMN ticks_stored INTEGER NOT NULL DEFAULT 0;
ALTER TABLE batch_source ADD COLUMN ticks_duplicate INTEGER NOT NULL DEFAULT 0;
