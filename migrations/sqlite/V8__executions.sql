-- What jobs did, in the columns of tallybook-core, and the views that are documented.

CREATE TABLE execution (
    rowid INTEGER PRIMARY KEY,
    id TEXT NOT NULL,
    revision INTEGER NOT NULL,
    events INTEGER NOT NULL,
    name TEXT NOT NULL,
    command TEXT NOT NULL,
    working_directory TEXT,
    status TEXT NOT NULL,
    exit_code INTEGER,
    error_message TEXT,
    created_at INTEGER NOT NULL,
    started_at INTEGER,
    completed_at INTEGER,
    duration INTEGER,
    environment TEXT NOT NULL,
    user_name TEXT,
    host TEXT,
    runner TEXT,
    tags TEXT NOT NULL,
    metadata TEXT NOT NULL,
    total_steps INTEGER NOT NULL,
    completed_steps INTEGER NOT NULL,
    current_step_index INTEGER,
    lines INTEGER NOT NULL,
    expires_at INTEGER,
    rev INTEGER NOT NULL,
    UNIQUE (id)
) STRICT;
CREATE INDEX execution_by_rev ON execution (rev);
CREATE INDEX execution_by_time ON execution (created_at, id);
CREATE INDEX execution_by_name ON execution (name, created_at, id);
CREATE INDEX execution_by_status ON execution (status, created_at, id);
CREATE INDEX execution_by_end ON execution (expires_at) WHERE expires_at IS NOT NULL;

CREATE TABLE step (
    rowid INTEGER PRIMARY KEY,
    execution TEXT NOT NULL,
    step_index INTEGER NOT NULL,
    revision INTEGER NOT NULL,
    parent INTEGER,
    name TEXT NOT NULL,
    status TEXT NOT NULL,
    parameters TEXT NOT NULL,
    stop_on_error INTEGER NOT NULL,
    expected_duration INTEGER,
    error_message TEXT,
    started_at INTEGER NOT NULL,
    completed_at INTEGER,
    duration INTEGER,
    first_line INTEGER NOT NULL,
    last_line INTEGER,
    rev INTEGER NOT NULL,
    UNIQUE (execution, step_index)
) STRICT;
CREATE INDEX step_by_rev ON step (rev);

CREATE TABLE annotation (
    rowid INTEGER PRIMARY KEY,
    execution TEXT NOT NULL,
    annotation_index INTEGER NOT NULL,
    level TEXT NOT NULL,
    message TEXT NOT NULL,
    step INTEGER,
    line INTEGER NOT NULL,
    created_at INTEGER NOT NULL,
    rev INTEGER NOT NULL,
    UNIQUE (execution, annotation_index)
) STRICT;
CREATE INDEX annotation_by_rev ON annotation (rev);

CREATE TABLE artifact (
    rowid INTEGER PRIMARY KEY,
    execution TEXT NOT NULL,
    artifact_index INTEGER NOT NULL,
    revision INTEGER NOT NULL,
    path TEXT NOT NULL,
    description TEXT,
    kind TEXT NOT NULL,
    size INTEGER NOT NULL,
    sha256 TEXT NOT NULL,
    mime TEXT NOT NULL,
    created_at INTEGER NOT NULL,
    expires_at INTEGER,
    stored TEXT,
    rev INTEGER NOT NULL,
    UNIQUE (execution, artifact_index)
) STRICT;
CREATE INDEX artifact_by_rev ON artifact (rev);
CREATE INDEX artifact_by_end ON artifact (expires_at) WHERE expires_at IS NOT NULL;

CREATE TABLE log_chunk (
    rowid INTEGER PRIMARY KEY,
    execution TEXT NOT NULL,
    first_line INTEGER NOT NULL,
    event INTEGER NOT NULL,
    step INTEGER,
    lines INTEGER NOT NULL,
    first_time INTEGER NOT NULL,
    last_time INTEGER NOT NULL,
    text_bytes INTEGER NOT NULL,
    data BLOB NOT NULL,
    rev INTEGER NOT NULL,
    UNIQUE (execution, first_line)
) STRICT;
CREATE INDEX log_chunk_by_rev ON log_chunk (rev);

CREATE TABLE execution_cancel (
    rowid INTEGER PRIMARY KEY,
    execution TEXT NOT NULL,
    requested_at INTEGER NOT NULL,
    reason TEXT,
    rev INTEGER NOT NULL,
    UNIQUE (execution)
) STRICT;
CREATE INDEX execution_cancel_by_rev ON execution_cancel (rev);

ALTER TABLE batch_source ADD COLUMN executions_stored INTEGER NOT NULL DEFAULT 0;
ALTER TABLE batch_source ADD COLUMN executions_merged INTEGER NOT NULL DEFAULT 0;
ALTER TABLE batch_source ADD COLUMN executions_duplicate INTEGER NOT NULL DEFAULT 0;

-- Times are ISO 8601, UTC, in milliseconds; command, environment, tags and metadata are JSON.
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
    strftime('%Y-%m-%dT%H:%M:%fZ', created_at / 1e9, 'unixepoch'),
    strftime('%Y-%m-%dT%H:%M:%fZ', started_at / 1e9, 'unixepoch'),
    strftime('%Y-%m-%dT%H:%M:%fZ', completed_at / 1e9, 'unixepoch'),
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
    stop_on_error,
    error_message,
    strftime('%Y-%m-%dT%H:%M:%fZ', started_at / 1e9, 'unixepoch'),
    strftime('%Y-%m-%dT%H:%M:%fZ', completed_at / 1e9, 'unixepoch'),
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
    strftime('%Y-%m-%dT%H:%M:%fZ', created_at / 1e9, 'unixepoch')
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
    strftime('%Y-%m-%dT%H:%M:%fZ', created_at / 1e9, 'unixepoch'),
    strftime('%Y-%m-%dT%H:%M:%fZ', expires_at / 1e9, 'unixepoch'),
    stored
FROM artifact;
