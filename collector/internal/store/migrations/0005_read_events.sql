-- Events are read by host or by kind, last come first: an index on the one column
-- keeps its rows in the order of their ids.
DROP INDEX event_host;
CREATE INDEX event_host ON event (host);
CREATE INDEX event_kind ON event (kind);
