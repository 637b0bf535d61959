-- Memory and traffic of each dyno over days, an hour a row. Several rows of one hour add up: each process writes
-- its own part, so that replicas and restarts need not agree.

-- The numbers of the series. Without a dyno it is what concerns the app as a whole.
CREATE TABLE dynowarden_series (
    series BIGINT NOT NULL PRIMARY KEY,
    app    TEXT   NOT NULL,
    dyno   TEXT   NOT NULL
);

-- `hour` counts from 1970-01-01T00:00:00Z.
CREATE TABLE dynowarden_hours (
    series BIGINT NOT NULL,
    hour   BIGINT NOT NULL,
    part   BIGINT NOT NULL,
    packed BYTEA  NOT NULL,
    PRIMARY KEY (series, hour, part)
);
