ALTER TABLE evidence ADD COLUMN no bigint NOT NULL DEFAULT 0;
ALTER TABLE evidence ADD COLUMN collector text COLLATE "C" NOT NULL DEFAULT '';
INSERT INTO meta (key, value) VALUES ('evidence_files', 0);
