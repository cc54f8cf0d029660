ALTER TABLE roots ALTER CONSTRAINT roots_node_fkey NOT DEFERRABLE;
ALTER TABLE pin_requests ALTER CONSTRAINT pin_requests_account_fkey NOT DEFERRABLE;
ALTER TABLE pin_requests ALTER CONSTRAINT pin_requests_root_fkey NOT DEFERRABLE;
ALTER TABLE access_tokens ALTER CONSTRAINT access_tokens_account_fkey NOT DEFERRABLE;
