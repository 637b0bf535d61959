-- Since when the new instance has been up, by Heroku's clock. `ended_at` is when a daemon saw it.
ALTER TABLE dynowarden_restarts ADD COLUMN up_since BIGINT;
