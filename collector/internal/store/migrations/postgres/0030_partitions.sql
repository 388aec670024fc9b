ALTER TABLE host ADD COLUMN spread bigint NOT NULL DEFAULT -1;
CREATE TABLE partition_lease (
  no          bigint NOT NULL,
  parts       bigint NOT NULL,
  owner       text COLLATE "C"    NOT NULL,
  fence       bigint NOT NULL,
  allocations bigint NOT NULL,
  renewed_ns  bigint NOT NULL,
  PRIMARY KEY (no)
);
CREATE TABLE partition_term (
  no             bigint NOT NULL,
  fence          bigint NOT NULL,
  parts          bigint NOT NULL,
  owner          text COLLATE "C"    NOT NULL,
  taken_ns       bigint NOT NULL,
  first_revision bigint NOT NULL,
  last_revision  bigint NOT NULL,
  first_ns       bigint NOT NULL,
  last_ns        bigint NOT NULL,
  checkpoints    bigint NOT NULL,
  batches        bigint NOT NULL,
  PRIMARY KEY (no, fence)
);
