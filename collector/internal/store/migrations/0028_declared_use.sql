-- What a customer says that a reservation is for: training, inference or other; '' where
-- nobody said.
ALTER TABLE reservation ADD COLUMN declared_use TEXT NOT NULL DEFAULT '';
