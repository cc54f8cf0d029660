CREATE TABLE chaos_breaches (key INTEGER PRIMARY KEY, what TEXT NOT NULL);

-- The greatest epoch that each root has had, kept when its row goes.
CREATE TABLE chaos_epochs (
  codec BIGINT NOT NULL,
  multihash BLOB NOT NULL,
  epoch BIGINT NOT NULL,
  PRIMARY KEY (codec, multihash)
);

CREATE TRIGGER chaos_two_leases AFTER UPDATE OF lease_token ON roots
WHEN OLD.lease_token IS NOT NULL AND NEW.lease_token IS NOT NULL AND OLD.lease_token <> NEW.lease_token
  AND OLD.lease_until > NEW.lease_until - :LEASE_MS
BEGIN INSERT INTO chaos_breaches (what) VALUES
  ('root ' || NEW.key || ' was leased again before its lease ended at ' || OLD.lease_until);
END;

-- What is whole in its CID needs nobody.
CREATE TRIGGER chaos_settled_by_nobody AFTER UPDATE OF state ON roots
WHEN NEW.state IN ('pinned', 'failed') AND OLD.state <> NEW.state
  AND (OLD.state <> 'pinning' OR OLD.lease_token IS NULL)
  AND NOT (NEW.state = 'pinned' AND NEW.codec = 85 AND substr(NEW.multihash, 1, 1) = x'00')
BEGIN INSERT INTO chaos_breaches (what) VALUES
  ('root ' || NEW.key || ' was ' || OLD.state || ' and became ' || NEW.state || ' with no lease to pin it');
END;

CREATE TRIGGER chaos_wanted_row_gone AFTER DELETE ON roots
WHEN OLD.refs > 0 OR OLD.requests > 0 OR OLD.state <> 'releasing'
BEGIN INSERT INTO chaos_breaches (what) VALUES
  ('root ' || OLD.key || ' was ' || OLD.state || ' and went with ' || OLD.refs || ' references');
END;

CREATE TRIGGER chaos_epoch_of_a_change AFTER UPDATE ON roots
BEGIN
  INSERT INTO chaos_breaches (what)
    SELECT 'root ' || NEW.key || ' went back to epoch ' || NEW.epoch || ' from ' || epoch
    FROM chaos_epochs WHERE codec = NEW.codec AND multihash = NEW.multihash AND NEW.epoch < epoch;
  INSERT INTO chaos_breaches (what)
    SELECT 'root ' || NEW.key || ' was leased anew in its old epoch ' || NEW.epoch
    FROM chaos_epochs WHERE codec = NEW.codec AND multihash = NEW.multihash AND NEW.epoch <= epoch
    AND NEW.lease_token IS NOT NULL AND OLD.lease_token IS NOT NEW.lease_token;
  UPDATE chaos_epochs SET epoch = NEW.epoch
    WHERE codec = NEW.codec AND multihash = NEW.multihash AND epoch < NEW.epoch;
END;

CREATE TRIGGER chaos_epoch_of_a_row AFTER INSERT ON roots
BEGIN
  INSERT INTO chaos_breaches (what)
    SELECT 'root ' || NEW.key || ' came again in epoch ' || NEW.epoch || ', and had ' || epoch
    FROM chaos_epochs WHERE codec = NEW.codec AND multihash = NEW.multihash AND NEW.epoch <= epoch;
  INSERT INTO chaos_epochs VALUES (NEW.codec, NEW.multihash, NEW.epoch)
    ON CONFLICT (codec, multihash) DO UPDATE SET epoch = max(epoch, excluded.epoch);
END;

CREATE TRIGGER chaos_progress_of_nobody AFTER INSERT ON root_progress
WHEN NOT EXISTS (SELECT 1 FROM roots WHERE key = NEW.root AND state = 'pinning' AND lease_token IS NOT NULL)
BEGIN INSERT INTO chaos_breaches (what) VALUES
  ('progress of root ' || NEW.root || ' was noted with no lease to pin it');
END;

CREATE TRIGGER chaos_more_progress_of_nobody AFTER UPDATE ON root_progress
WHEN NOT EXISTS (SELECT 1 FROM roots WHERE key = NEW.root AND state = 'pinning' AND lease_token IS NOT NULL)
BEGIN INSERT INTO chaos_breaches (what) VALUES
  ('progress of root ' || NEW.root || ' was noted with no lease to pin it');
END;
