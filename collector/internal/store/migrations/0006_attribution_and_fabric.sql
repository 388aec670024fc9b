-- How a host learns who holds its devices, and the NVLink domain of a device.
ALTER TABLE host ADD COLUMN attribution TEXT NOT NULL DEFAULT '';
ALTER TABLE device ADD COLUMN fabric TEXT NOT NULL DEFAULT '';
