DROP INDEX IF EXISTS pin_requests_name_parts;
