-- Decision history, claims and shared facts. The same statements for SQLite and for PostgreSQL.
--
-- Times are microseconds since 1970-01-01T00:00:00Z, spans are milliseconds, flags are 0 or 1.
-- The names have a prefix because the database may be one that the watched app uses as well.

-- Every decision; repeated ones of one kind are one row. `id` is the time of the first, made unique and
-- increasing within one process (`holder`), so that (id, holder) is the order of the record.
CREATE TABLE dynowarden_decisions (
    id       BIGINT NOT NULL,
    holder   TEXT   NOT NULL,
    at       BIGINT NOT NULL,
    app      TEXT   NOT NULL,
    dyno     TEXT,
    rule     TEXT   NOT NULL,
    decision TEXT   NOT NULL,
    code     TEXT   NOT NULL,
    reason   TEXT   NOT NULL,
    dry_run  BIGINT NOT NULL,
    evidence TEXT   NOT NULL,
    attempt  TEXT,
    count    BIGINT NOT NULL,
    last_at  BIGINT NOT NULL,
    PRIMARY KEY (id, holder)
);

CREATE INDEX dynowarden_decisions_by_dyno ON dynowarden_decisions (app, dyno, id);
CREATE INDEX dynowarden_decisions_of_restarts ON dynowarden_decisions (attempt) WHERE decision = 'restart';

-- One row for every claimed restart, with its outcome.
--
-- `attempt` is its permanent id; `holder` and `ticket` identify the process that handles it now. It blocks
-- others until `lease_until`, and it is over at `ended_at`. `claimed_at`, `lease_until` and `accepted_at`
-- are by the one clock that judges leases and cool-downs.
CREATE TABLE dynowarden_restarts (
    attempt      TEXT   NOT NULL PRIMARY KEY,
    holder       TEXT   NOT NULL,
    ticket       BIGINT NOT NULL,
    app          TEXT   NOT NULL,
    process_type TEXT   NOT NULL,
    dyno         TEXT   NOT NULL,
    by_hand      BIGINT NOT NULL,
    instance     TEXT   NOT NULL,
    created_at   BIGINT NOT NULL,
    updated_at   BIGINT NOT NULL,
    release      BIGINT,
    settle_ms    BIGINT NOT NULL,
    tries        BIGINT NOT NULL,
    claimed_at   BIGINT NOT NULL,
    lease_until  BIGINT NOT NULL,
    accepted_at  BIGINT,
    ended_at     BIGINT,
    result       TEXT,
    told         TEXT,
    out_for_ms   BIGINT,
    new_instance TEXT
);

CREATE INDEX dynowarden_restarts_open ON dynowarden_restarts (app, process_type) WHERE ended_at IS NULL;
CREATE INDEX dynowarden_restarts_leased ON dynowarden_restarts (lease_until);
CREATE INDEX dynowarden_restarts_accepted ON dynowarden_restarts (app, dyno, accepted_at);
CREATE UNIQUE INDEX dynowarden_restarts_held ON dynowarden_restarts (holder, ticket);

-- Notices to people.
CREATE TABLE dynowarden_notices (
    id     BIGINT NOT NULL,
    holder TEXT   NOT NULL,
    at     BIGINT NOT NULL,
    app    TEXT   NOT NULL,
    dyno   TEXT,
    kind   TEXT   NOT NULL,
    told   TEXT   NOT NULL,
    PRIMARY KEY (id, holder)
);

-- Dynos that are left alone until a time, or until another release.
CREATE TABLE dynowarden_give_ups (
    app     TEXT   NOT NULL,
    dyno    TEXT   NOT NULL,
    at      BIGINT NOT NULL,
    until   BIGINT NOT NULL,
    release BIGINT,
    PRIMARY KEY (app, dyno)
);

-- Pauses; the app `*` stands for all.
CREATE TABLE dynowarden_pauses (
    app    TEXT   NOT NULL PRIMARY KEY,
    until  BIGINT NOT NULL,
    reason TEXT   NOT NULL
);

-- Times of errors in the lines, for rules that several replicas count together.
CREATE TABLE dynowarden_hits (
    app  TEXT   NOT NULL,
    dyno TEXT   NOT NULL,
    rule TEXT   NOT NULL,
    at   BIGINT NOT NULL,
    PRIMARY KEY (app, dyno, rule, at)
);
