ALTER TABLE finding_standing ADD COLUMN urgency bigint NOT NULL DEFAULT 0;
ALTER TABLE finding_standing ADD COLUMN actor   text COLLATE "C"    NOT NULL DEFAULT '';
UPDATE finding_standing SET
  urgency = (SELECT CASE f.severity WHEN 'critical' THEN 3 WHEN 'high' THEN 2 WHEN 'warning' THEN 1 ELSE 0 END FROM finding f WHERE f.no = finding_standing.no),
  actor   = coalesce((SELECT w.actor FROM finding f JOIN finding_work w ON w.finding = f.id WHERE f.no = finding_standing.no ORDER BY w.no DESC LIMIT 1), '');
CREATE INDEX finding_standing_urgency ON finding_standing (state, urgency, no);
CREATE INDEX finding_standing_actor ON finding_standing (actor, state, no);
DROP TRIGGER finding_stands ON finding;
DROP FUNCTION finding_stands();
DROP TRIGGER finding_work_stands ON finding_work;
DROP FUNCTION finding_work_stands();
CREATE FUNCTION finding_stands() RETURNS trigger LANGUAGE plpgsql SET search_path = flopwatch, pg_catalog, pg_temp AS $$
BEGIN
  INSERT INTO finding_standing (no, state, urgency) VALUES (NEW.no, 'open', CASE NEW.severity WHEN 'critical' THEN 3 WHEN 'high' THEN 2 WHEN 'warning' THEN 1 ELSE 0 END);
  RETURN NULL;
END $$;
CREATE TRIGGER finding_stands AFTER INSERT ON finding FOR EACH ROW EXECUTE FUNCTION finding_stands();
CREATE FUNCTION finding_work_stands() RETURNS trigger LANGUAGE plpgsql SET search_path = flopwatch, pg_catalog, pg_temp AS $$
BEGIN
  UPDATE finding_standing SET state = NEW.state, actor = NEW.actor WHERE no = (SELECT no FROM finding WHERE id = NEW.finding);
  RETURN NULL;
END $$;
CREATE TRIGGER finding_work_stands AFTER INSERT ON finding_work FOR EACH ROW EXECUTE FUNCTION finding_work_stands();
