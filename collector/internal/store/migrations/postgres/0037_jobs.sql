CREATE TABLE job (
  id         text COLLATE "C"    NOT NULL,
  policy     text COLLATE "C"    NOT NULL,
  state      text COLLATE "C"    NOT NULL CHECK (state IN ('running', 'done', 'cancelled', 'failed')),
  phase      text COLLATE "C"    NOT NULL,
  done       bigint NOT NULL,
  whole      bigint NOT NULL,
  simulation text COLLATE "C"    NOT NULL, 
  digest     text COLLATE "C"    NOT NULL,
  error      text COLLATE "C"    NOT NULL,
  cancel     bigint NOT NULL CHECK (cancel IN (0, 1)), 
  begun_ns   bigint NOT NULL,
  beat_ns    bigint NOT NULL,
  PRIMARY KEY (id)
);
CREATE INDEX job_begun ON job (begun_ns);
