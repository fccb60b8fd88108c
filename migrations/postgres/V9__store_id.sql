-- The store's own name, minted here and now, for those who follow it; and the primary it follows itself, which counts
-- while no later commit than `rev` was its own.

CREATE TABLE store_id (id uuid PRIMARY KEY);
INSERT INTO store_id (id) VALUES (gen_random_uuid());

CREATE TABLE following (
    single boolean PRIMARY KEY DEFAULT true CHECK (single),
    primary_id uuid NOT NULL,
    cursor text COLLATE "C" NOT NULL,
    rev bigint NOT NULL
);
