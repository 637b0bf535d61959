-- Give-ups in a row: each lasts twice as long as the one before.
ALTER TABLE dynowarden_give_ups ADD COLUMN times BIGINT NOT NULL DEFAULT 1;

-- Errors and requests that a process had not sent to the API before it stopped; the next one takes them up.
-- `rule` is NULL for a manual restart.
CREATE TABLE dynowarden_pending (
    app      TEXT   NOT NULL,
    dyno     TEXT   NOT NULL,
    rule     TEXT,
    code     TEXT,
    lines    BIGINT NOT NULL,
    error_at BIGINT NOT NULL,
    forced   BIGINT NOT NULL,
    PRIMARY KEY (app, dyno)
);
