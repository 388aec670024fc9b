CREATE TABLE asked_once (
  key       text COLLATE "C"    PRIMARY KEY, 
  request   text COLLATE "C"    NOT NULL,    
  begun_ns  bigint NOT NULL,
  status    bigint NOT NULL,    
  sealed    bytea    NOT NULL     
);
CREATE INDEX asked_once_begun ON asked_once (begun_ns);
