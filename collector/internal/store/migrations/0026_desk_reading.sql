-- What the desk's lists go along, so that a page costs what it shows.
CREATE INDEX run_operations ON run (emp_best + theo_best DESC, id);
CREATE INDEX run_tenant_operations ON run (tenant, emp_best, theo_best);
CREATE INDEX finding_customer ON finding (customer);

-- How the work on each finding stands, as finding_work's newest row says. It is
-- derived: triggers write it with the rows that it follows from.
CREATE TABLE finding_standing (
  no    INTEGER PRIMARY KEY REFERENCES finding (no),
  state TEXT    NOT NULL
) STRICT;
CREATE INDEX finding_standing_state ON finding_standing (state, no);
INSERT INTO finding_standing (no, state)
  SELECT f.no, coalesce((SELECT w.state FROM finding_work w WHERE w.finding = f.id ORDER BY w.no DESC LIMIT 1), 'open') FROM finding f;
CREATE TRIGGER finding_stands AFTER INSERT ON finding BEGIN INSERT INTO finding_standing (no, state) VALUES (NEW.no, 'open'); END;
CREATE TRIGGER finding_work_stands AFTER INSERT ON finding_work BEGIN
  UPDATE finding_standing SET state = NEW.state WHERE no = (SELECT no FROM finding WHERE id = NEW.finding);
END;
