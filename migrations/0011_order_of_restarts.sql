-- Restarts of a dyno in the order of their claims. A clock may be set, so that times do not tell which was the last.
ALTER TABLE dynowarden_restarts ADD COLUMN place BIGINT NOT NULL DEFAULT 0;

UPDATE dynowarden_restarts SET place = (
    SELECT COUNT(*) FROM dynowarden_restarts older
    WHERE older.app = dynowarden_restarts.app AND older.dyno = dynowarden_restarts.dyno
        AND older.claimed_at <= dynowarden_restarts.claimed_at
);
