//! Accounts, access tokens, authorization, limits, and the life of a pin request and a root.
