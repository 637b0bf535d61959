-- Columns by the names that the code and the JSON API use: `text` is the sentence of an outcome or a notice, and
-- `attempt_number` counts the attempts of one process.
ALTER TABLE dynowarden_restarts RENAME COLUMN told TO text;
ALTER TABLE dynowarden_notices RENAME COLUMN told TO text;
ALTER TABLE dynowarden_restarts RENAME COLUMN ticket TO attempt_number;
