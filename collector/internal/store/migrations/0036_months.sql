-- PostgreSQL keeps the tables that grow with the fleet's time by months, segments among
-- them. What refers to a segment there names the month with it: its start.
ALTER TABLE correction ADD COLUMN segment_start_ns INTEGER NOT NULL DEFAULT 0;
DROP TRIGGER correction_no_update;
UPDATE correction SET segment_start_ns = (SELECT start_ns FROM segment WHERE id = correction.segment);
CREATE TRIGGER correction_no_update BEFORE UPDATE ON correction BEGIN SELECT RAISE(ABORT, 'corrections are never changed'); END;
ALTER TABLE piece ADD COLUMN segment_start_ns INTEGER NOT NULL DEFAULT 0;
UPDATE piece SET segment_start_ns = (SELECT start_ns FROM segment WHERE id = piece.segment);
-- When the first of a device's segments began that may still grow, so that who takes
-- hosts over looks for them in no older month; 0 until the device reports again.
ALTER TABLE device ADD COLUMN open_ns INTEGER NOT NULL DEFAULT 0;
