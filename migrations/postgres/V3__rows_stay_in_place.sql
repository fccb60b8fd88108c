-- Rows that almost every flush changes are changed in place: no index holds a column that each flush changes, and half of
-- each page is free for the next version of its rows. Otherwise every change costs a new entry in every index.
--
-- What changed since a revision is found by blocks of 16 revisions, so that the index changes once in 16 commits at most.
DO $$
DECLARE
    changing text;
    place regclass;
BEGIN
    FOREACH changing IN ARRAY ARRAY['attribute_key', 'metric_bucket', 'attribute_key_bucket', 'template_bucket'] LOOP
        EXECUTE format('DROP INDEX %I', changing || '_rev');
        -- A partitioned table has no pages of its own.
        FOR place IN
            SELECT oid::regclass FROM pg_class WHERE oid = changing::regclass AND relkind = 'r'
            UNION ALL
            SELECT inhrelid::regclass FROM pg_inherits JOIN pg_class ON oid = inhparent
            WHERE inhparent = changing::regclass AND relkind = 'p'
        LOOP
            EXECUTE format('ALTER TABLE %s SET (fillfactor = 50)', place);
        END LOOP;
        -- This also writes the rows anew, with room on their pages.
        EXECUTE format('ALTER TABLE %I ADD COLUMN rev_block bigint GENERATED ALWAYS AS (rev / 16) STORED', changing);
        EXECUTE format('CREATE INDEX %I ON %I (rev_block)', changing || '_rev_block', changing);
    END LOOP;
END $$;

-- Every list names a service, so the primary key finds the keys of a name.
DROP INDEX attribute_key_by_name;
