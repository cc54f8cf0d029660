CREATE TABLE chaos_breaches (key BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY, what TEXT NOT NULL);

CREATE FUNCTION chaos_look() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  IF TG_OP = 'DELETE' THEN
    IF OLD.refs > 0 OR OLD.requests > 0 THEN
      INSERT INTO chaos_breaches (what) VALUES ('root ' || OLD.key || ' went with ' || OLD.refs || ' references');
    END IF;
    RETURN OLD;
  END IF;
  IF OLD.lease_token IS NOT NULL AND NEW.lease_token IS NOT NULL AND OLD.lease_token <> NEW.lease_token
    AND OLD.lease_until > NEW.lease_until - :LEASE_MS THEN
    INSERT INTO chaos_breaches (what) VALUES
      ('root ' || NEW.key || ' was leased again before its lease ended at ' || OLD.lease_until);
  END IF;
  IF NEW.lease_token IS NOT NULL AND OLD.lease_token IS DISTINCT FROM NEW.lease_token AND NEW.epoch <= OLD.epoch THEN
    INSERT INTO chaos_breaches (what) VALUES ('root ' || NEW.key || ' was leased anew in its old epoch ' || OLD.epoch);
  END IF;
  IF NEW.state = 'pinned' AND OLD.state <> 'pinned' AND OLD.lease_token IS NULL THEN
    INSERT INTO chaos_breaches (what) VALUES
      ('root ' || NEW.key || ' was ' || OLD.state || ' and became pinned with no lease');
  END IF;
  RETURN NEW;
END $$;

CREATE TRIGGER chaos_look AFTER UPDATE OR DELETE ON roots FOR EACH ROW EXECUTE FUNCTION chaos_look();
