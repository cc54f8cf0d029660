-- References are checked at the commit, together: what checks them is planned once, as the statements of a transaction
-- are not.
ALTER TABLE roots ALTER CONSTRAINT roots_node_fkey DEFERRABLE INITIALLY DEFERRED;
ALTER TABLE pin_requests ALTER CONSTRAINT pin_requests_account_fkey DEFERRABLE INITIALLY DEFERRED;
ALTER TABLE pin_requests ALTER CONSTRAINT pin_requests_root_fkey DEFERRABLE INITIALLY DEFERRED;
ALTER TABLE access_tokens ALTER CONSTRAINT access_tokens_account_fkey DEFERRABLE INITIALLY DEFERRED;
