-- Sessions of people who have signed in, so that each collector over this database
-- knows them and a restart ends none. What opens a session is not kept: hash is of it.
CREATE TABLE desk_session (
  hash      TEXT    PRIMARY KEY, -- SHA-256 of the secret, in hexadecimal digits
  account   TEXT    NOT NULL REFERENCES "user" (id),
  door      TEXT    NOT NULL,    -- by which it was opened and holds: local or public
  made_ns   INTEGER NOT NULL,
  used_ns   INTEGER NOT NULL,    -- to the minute
  proved_ns INTEGER NOT NULL,    -- when they last proved who they are
  strong    INTEGER NOT NULL CHECK (strong IN (0, 1)),  -- with a second factor
  outside   INTEGER NOT NULL CHECK (outside IN (0, 1)), -- with an identity provider
  sign_out  TEXT    NOT NULL     -- where the person signs out of it, '' for nowhere
) STRICT, WITHOUT ROWID;
CREATE INDEX desk_session_account ON desk_session (account);
CREATE INDEX desk_session_used ON desk_session (used_ns);
