-- Four hours of a dyno in a row, made of the rows of dynowarden_hours once they are over: each row there takes half
-- as much again for its key.

-- `block` counts four hours from 1970-01-01T00:00:00Z.
CREATE TABLE dynowarden_blocks (
    series BIGINT NOT NULL,
    block  BIGINT NOT NULL,
    packed BYTEA  NOT NULL,
    PRIMARY KEY (series, block)
);
