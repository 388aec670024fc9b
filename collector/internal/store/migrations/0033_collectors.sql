-- The collectors that share the work. One whose beat does not move is gone.
CREATE TABLE collector (
  id      TEXT    NOT NULL,
  name    TEXT    NOT NULL,
  beat    INTEGER NOT NULL,
  beat_ns INTEGER NOT NULL,
  PRIMARY KEY (id)
) STRICT, WITHOUT ROWID;

-- Tenants of whom something was counted, for the one collector that derives; only
-- where several count.
CREATE TABLE tenant_change (
  tenant   TEXT    NOT NULL,
  revision INTEGER NOT NULL,
  PRIMARY KEY (tenant)
) STRICT, WITHOUT ROWID;

-- The term of the one collector that derives, tells and keeps.
INSERT INTO meta (key, value) VALUES ('leader', 0);
