-- What a restarted dyno used once it was up, in hundredths of a megabyte and tenths of a per cent of its
-- quota, and the time in the line that said so.
ALTER TABLE dynowarden_restarts ADD COLUMN after_at BIGINT;
ALTER TABLE dynowarden_restarts ADD COLUMN after_used BIGINT;
ALTER TABLE dynowarden_restarts ADD COLUMN after_permille BIGINT;
