-- What jobs did, in the columns of tallybook-core, and the views that are documented.

CREATE TABLE execution (
    id text COLLATE "C" NOT NULL,
    revision bigint NOT NULL,
    events bigint NOT NULL,
    name text COLLATE "C" NOT NULL,
    command json NOT NULL,
    working_directory text COLLATE "C",
    status text COLLATE "C" NOT NULL,
    exit_code bigint,
    error_message text COLLATE "C",
    created_at bigint NOT NULL,
    started_at bigint,
    completed_at bigint,
    duration bigint,
    environment json NOT NULL,
    user_name text COLLATE "C",
    host text COLLATE "C",
    runner text COLLATE "C",
    tags json NOT NULL,
    metadata json NOT NULL,
    total_steps bigint NOT NULL,
    completed_steps bigint NOT NULL,
    current_step_index bigint,
    lines bigint NOT NULL,
    expires_at bigint,
    rev bigint NOT NULL,
    PRIMARY KEY (id)
);
CREATE INDEX execution_rev ON execution (rev);
CREATE INDEX execution_by_time ON execution (created_at, id);
CREATE INDEX execution_by_name ON execution (name, created_at, id);
CREATE INDEX execution_by_status ON execution (status, created_at, id);
CREATE INDEX execution_by_end ON execution (expires_at) WHERE expires_at IS NOT NULL;

CREATE TABLE step (
    execution text COLLATE "C" NOT NULL,
    step_index bigint NOT NULL,
    revision bigint NOT NULL,
    parent bigint,
    name text COLLATE "C" NOT NULL,
    status text COLLATE "C" NOT NULL,
    parameters json NOT NULL,
    stop_on_error bigint NOT NULL,
    expected_duration bigint,
    error_message text COLLATE "C",
    started_at bigint NOT NULL,
    completed_at bigint,
    duration bigint,
    first_line bigint NOT NULL,
    last_line bigint,
    rev bigint NOT NULL,
    PRIMARY KEY (execution, step_index)
);
CREATE INDEX step_rev ON step (rev);

CREATE TABLE annotation (
    execution text COLLATE "C" NOT NULL,
    annotation_index bigint NOT NULL,
    level text COLLATE "C" NOT NULL,
    message text COLLATE "C" NOT NULL,
    step bigint,
    line bigint NOT NULL,
    created_at bigint NOT NULL,
    rev bigint NOT NULL,
    PRIMARY KEY (execution, annotation_index)
);
CREATE INDEX annotation_rev ON annotation (rev);

CREATE TABLE artifact (
    execution text COLLATE "C" NOT NULL,
    artifact_index bigint NOT NULL,
    revision bigint NOT NULL,
    path text COLLATE "C" NOT NULL,
    description text COLLATE "C",
    kind text COLLATE "C" NOT NULL,
    size bigint NOT NULL,
    sha256 text COLLATE "C" NOT NULL,
    mime text COLLATE "C" NOT NULL,
    created_at bigint NOT NULL,
    expires_at bigint,
    stored text COLLATE "C",
    rev bigint NOT NULL,
    PRIMARY KEY (execution, artifact_index)
);
CREATE INDEX artifact_rev ON artifact (rev);
CREATE INDEX artifact_by_end ON artifact (expires_at) WHERE expires_at IS NOT NULL;

CREATE TABLE log_chunk (
    execution text COLLATE "C" NOT NULL,
    first_line bigint NOT NULL,
    event bigint NOT NULL,
    step bigint,
    lines bigint NOT NULL,
    first_time bigint NOT NULL,
    last_time bigint NOT NULL,
    text_bytes bigint NOT NULL,
    data bytea NOT NULL,
    rev bigint NOT NULL,
    PRIMARY KEY (execution, first_line)
);
CREATE INDEX log_chunk_rev ON log_chunk (rev);
-- It is compressed already.
ALTER TABLE log_chunk ALTER COLUMN data SET STORAGE EXTERNAL;

CREATE TABLE execution_cancel (
    execution text COLLATE "C" NOT NULL,
    requested_at bigint NOT NULL,
    reason text COLLATE "C",
    rev bigint NOT NULL,
    PRIMARY KEY (execution)
);
CREATE INDEX execution_cancel_rev ON execution_cancel (rev);

ALTER TABLE batch_source ADD COLUMN executions_stored bigint NOT NULL DEFAULT 0;
ALTER TABLE batch_source ADD COLUMN executions_merged bigint NOT NULL DEFAULT 0;
ALTER TABLE batch_source ADD COLUMN executions_duplicate bigint NOT NULL DEFAULT 0;

CREATE VIEW executions (
    id, name, command, working_directory, status, exit_code, error_message, created_at, started_at, completed_at,
    environment, user_name, tags, total_steps, completed_steps, current_step_index, metadata
) AS
SELECT
    id,
    name,
    command,
    working_directory,
    status,
    exit_code,
    error_message,
    to_timestamp(created_at / 1e9),
    to_timestamp(started_at / 1e9),
    to_timestamp(completed_at / 1e9),
    environment,
    user_name,
    tags,
    total_steps,
    completed_steps,
    current_step_index,
    metadata
FROM execution;

CREATE VIEW steps (
    execution_id, step_index, parent_index, name, status, parameters, stop_on_error, error_message, started_at,
    completed_at, duration_ms, first_line, last_line
) AS
SELECT
    execution,
    step_index,
    parent,
    name,
    status,
    parameters,
    stop_on_error <> 0,
    error_message,
    to_timestamp(started_at / 1e9),
    to_timestamp(completed_at / 1e9),
    duration / 1e6,
    first_line,
    last_line
FROM step;

CREATE VIEW annotations (execution_id, annotation_index, level, message, step_index, line, created_at) AS
SELECT
    execution,
    annotation_index,
    level,
    message,
    step,
    line,
    to_timestamp(created_at / 1e9)
FROM annotation;

-- The stored file lies in the folder of artifacts; null once it was removed.
CREATE VIEW artifacts (
    execution_id, artifact_index, path, description, kind, size, sha256, mime_type, created_at, expires_at, stored
) AS
SELECT
    execution,
    artifact_index,
    path,
    description,
    kind,
    size,
    sha256,
    mime,
    to_timestamp(created_at / 1e9),
    to_timestamp(expires_at / 1e9),
    stored
FROM artifact;
