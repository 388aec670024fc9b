-- Evidence of several collectors: each writes files of its own, a new one when it takes
-- over hosts. In the order of no, the batches of a host are in their order.
ALTER TABLE evidence ADD COLUMN no INTEGER NOT NULL DEFAULT 0;
ALTER TABLE evidence ADD COLUMN collector TEXT NOT NULL DEFAULT '';
INSERT INTO meta (key, value) VALUES ('evidence_files', 0);
