-- Who asked for the pause, as the audit words it; null for one that an earlier version stored.
ALTER TABLE dynowarden_pauses ADD COLUMN asked_by TEXT;
