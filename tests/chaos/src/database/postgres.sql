CREATE TABLE chaos_breaches (key BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY, what TEXT NOT NULL);

-- The greatest epoch that each root has had, kept when its row goes.
CREATE TABLE chaos_epochs (
  codec BIGINT NOT NULL,
  multihash BYTEA NOT NULL,
  epoch BIGINT NOT NULL,
  PRIMARY KEY (codec, multihash)
);

CREATE FUNCTION chaos_look() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  IF TG_OP = 'DELETE' THEN
    IF OLD.refs > 0 OR OLD.requests > 0 OR OLD.state <> 'releasing' THEN
      INSERT INTO chaos_breaches (what) VALUES
        ('root ' || OLD.key || ' was ' || OLD.state || ' and went with ' || OLD.refs || ' references');
    END IF;
    RETURN OLD;
  END IF;
  IF OLD.lease_token IS NOT NULL AND NEW.lease_token IS NOT NULL AND OLD.lease_token <> NEW.lease_token
    AND OLD.lease_until > NEW.lease_until - :LEASE_MS THEN
    INSERT INTO chaos_breaches (what) VALUES
      ('root ' || NEW.key || ' was leased again before its lease ended at ' || OLD.lease_until);
  END IF;
  -- What is whole in its CID needs nobody.
  IF NEW.state IN ('pinned', 'failed') AND OLD.state <> NEW.state
    AND (OLD.state <> 'pinning' OR OLD.lease_token IS NULL)
    AND NOT (NEW.state = 'pinned' AND NEW.codec = 85 AND get_byte(NEW.multihash, 0) = 0) THEN
    INSERT INTO chaos_breaches (what) VALUES
      ('root ' || NEW.key || ' was ' || OLD.state || ' and became ' || NEW.state || ' with no lease to pin it');
  END IF;
  RETURN NEW;
END $$;

CREATE TRIGGER chaos_look AFTER UPDATE OR DELETE ON roots FOR EACH ROW EXECUTE FUNCTION chaos_look();

CREATE FUNCTION chaos_compare_epochs() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
  greatest_so_far BIGINT;
BEGIN
  SELECT epoch INTO greatest_so_far FROM chaos_epochs WHERE codec = NEW.codec AND multihash = NEW.multihash;
  IF TG_OP = 'INSERT' AND NEW.epoch <= greatest_so_far THEN
    INSERT INTO chaos_breaches (what) VALUES
      ('root ' || NEW.key || ' came again in epoch ' || NEW.epoch || ', and had ' || greatest_so_far);
  ELSIF TG_OP = 'UPDATE' AND NEW.epoch < greatest_so_far THEN
    INSERT INTO chaos_breaches (what) VALUES
      ('root ' || NEW.key || ' went back to epoch ' || NEW.epoch || ' from ' || greatest_so_far);
  ELSIF TG_OP = 'UPDATE' AND NEW.lease_token IS NOT NULL AND OLD.lease_token IS DISTINCT FROM NEW.lease_token
    AND NEW.epoch <= greatest_so_far THEN
    INSERT INTO chaos_breaches (what) VALUES
      ('root ' || NEW.key || ' was leased anew in its old epoch ' || NEW.epoch);
  END IF;
  IF greatest_so_far IS NULL OR NEW.epoch > greatest_so_far THEN
    INSERT INTO chaos_epochs VALUES (NEW.codec, NEW.multihash, NEW.epoch)
      ON CONFLICT (codec, multihash) DO UPDATE SET epoch = greatest(chaos_epochs.epoch, excluded.epoch);
  END IF;
  RETURN NEW;
END $$;

CREATE TRIGGER chaos_compare_epochs AFTER INSERT OR UPDATE ON roots
  FOR EACH ROW EXECUTE FUNCTION chaos_compare_epochs();

CREATE FUNCTION chaos_look_at_progress() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  IF NOT EXISTS (SELECT FROM roots WHERE key = NEW.root AND state = 'pinning' AND lease_token IS NOT NULL) THEN
    INSERT INTO chaos_breaches (what) VALUES ('progress of root ' || NEW.root || ' was noted with no lease to pin it');
  END IF;
  RETURN NEW;
END $$;

CREATE TRIGGER chaos_look_at_progress AFTER INSERT OR UPDATE ON root_progress
  FOR EACH ROW EXECUTE FUNCTION chaos_look_at_progress();
