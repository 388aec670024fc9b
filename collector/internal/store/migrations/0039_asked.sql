-- What was asked with a key by which the same is done once (Idempotency-Key), for a
-- day. Answers are sealed: they may say who somebody is.
CREATE TABLE asked_once (
  key       TEXT    PRIMARY KEY, -- SHA-256 of who asks and their key, in hexadecimal digits
  request   TEXT    NOT NULL,    -- SHA-256 of what was asked
  begun_ns  INTEGER NOT NULL,
  status    INTEGER NOT NULL,    -- of the answer, 0 where it is not known
  sealed    BLOB    NOT NULL     -- the answer; empty where it is given once alone
) STRICT, WITHOUT ROWID;
CREATE INDEX asked_once_begun ON asked_once (begun_ns);
