-- `text` is what outcomes and notices say in words, here as in the JSON API.
ALTER TABLE dynowarden_restarts RENAME COLUMN told TO text;
ALTER TABLE dynowarden_notices RENAME COLUMN told TO text;
