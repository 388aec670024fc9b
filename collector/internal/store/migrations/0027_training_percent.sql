-- What the verdict of a run says of training, in percent; -1 where it cannot be told.
-- Rules ask for it, and a simulation reads it of every run.
ALTER TABLE run ADD COLUMN training_percent INTEGER NOT NULL DEFAULT -1;
