-- Requests of each app by endpoint, half an hour a row: templates such as /orders/:id, never paths. Several rows of
-- one half hour add up, as those of an hour do.

-- `half_hour` counts from 1970-01-01T00:00:00Z.
CREATE TABLE dynowarden_evidence (
    app       TEXT   NOT NULL,
    half_hour BIGINT NOT NULL,
    part      BIGINT NOT NULL,
    packed    BYTEA  NOT NULL,
    PRIMARY KEY (app, half_hour, part)
);
