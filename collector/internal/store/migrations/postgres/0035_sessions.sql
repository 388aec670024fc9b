CREATE TABLE desk_session (
  hash      text COLLATE "C"    PRIMARY KEY, 
  account   text COLLATE "C"    NOT NULL REFERENCES "user" (id),
  door      text COLLATE "C"    NOT NULL,    
  made_ns   bigint NOT NULL,
  used_ns   bigint NOT NULL,    
  proved_ns bigint NOT NULL,    
  strong    bigint NOT NULL CHECK (strong IN (0, 1)),  
  outside   bigint NOT NULL CHECK (outside IN (0, 1)), 
  sign_out  text COLLATE "C"    NOT NULL     
);
CREATE INDEX desk_session_account ON desk_session (account);
CREATE INDEX desk_session_used ON desk_session (used_ns);
