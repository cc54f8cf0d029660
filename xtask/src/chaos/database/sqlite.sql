CREATE TABLE chaos_breaches (key INTEGER PRIMARY KEY, what TEXT NOT NULL);

CREATE TRIGGER chaos_two_leases AFTER UPDATE OF lease_token ON roots
WHEN OLD.lease_token IS NOT NULL AND NEW.lease_token IS NOT NULL AND OLD.lease_token <> NEW.lease_token
  AND OLD.lease_until > NEW.lease_until - :LEASE_MS
BEGIN INSERT INTO chaos_breaches (what) VALUES
  ('root ' || NEW.key || ' was leased again before its lease ended at ' || OLD.lease_until);
END;

CREATE TRIGGER chaos_same_epoch AFTER UPDATE OF lease_token ON roots
WHEN NEW.lease_token IS NOT NULL AND OLD.lease_token IS NOT NEW.lease_token AND NEW.epoch <= OLD.epoch
BEGIN INSERT INTO chaos_breaches (what) VALUES
  ('root ' || NEW.key || ' was leased anew in its old epoch ' || OLD.epoch);
END;

CREATE TRIGGER chaos_pinned_by_nobody AFTER UPDATE OF state ON roots
WHEN NEW.state = 'pinned' AND OLD.state <> 'pinned' AND OLD.lease_token IS NULL
BEGIN INSERT INTO chaos_breaches (what) VALUES
  ('root ' || NEW.key || ' was ' || OLD.state || ' and became pinned with no lease');
END;

CREATE TRIGGER chaos_wanted_row_gone AFTER DELETE ON roots
WHEN OLD.refs > 0 OR OLD.requests > 0
BEGIN INSERT INTO chaos_breaches (what) VALUES
  ('root ' || OLD.key || ' went with ' || OLD.refs || ' references');
END;
