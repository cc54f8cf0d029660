ALTER TABLE audit_log DROP COLUMN subject;
ALTER TABLE accounts DROP COLUMN access_withdrawn;
