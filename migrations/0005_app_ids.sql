-- The id of each watched app by its name in the settings, so that another app that takes over the name while the
-- daemon is down is not taken for it.
CREATE TABLE dynowarden_app_ids (
    app TEXT NOT NULL PRIMARY KEY,
    id  TEXT NOT NULL
);
