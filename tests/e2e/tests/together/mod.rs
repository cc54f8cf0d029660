//! The two binaries together, on SQLite.

mod full_disk;

crate::checks::on_database!(pinrail_chaos::Kind::Sqlite);
