//! Pinrail's storage on SQLite and PostgreSQL.
