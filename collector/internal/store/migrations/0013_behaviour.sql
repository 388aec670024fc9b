-- How the power of a segment moved from window to window, encoded; empty where no
-- whole window of the usual length had an energy.
ALTER TABLE segment ADD COLUMN rhythm BLOB NOT NULL DEFAULT x'';
-- What a run does, with why; what it did on each of the last days; and a sample
-- of its hosts. All is derived.
ALTER TABLE run ADD COLUMN verdict TEXT NOT NULL DEFAULT '';
ALTER TABLE run ADD COLUMN recent TEXT NOT NULL DEFAULT '';
ALTER TABLE run ADD COLUMN places TEXT NOT NULL DEFAULT '';
