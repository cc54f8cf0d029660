//! What the operator does: one file for each group of commands.

pub mod access;
pub mod account;
pub mod audit;
pub mod backup;
pub mod check;
pub mod database;
pub mod key;
pub mod migrate;
pub mod node;
mod progress;
pub mod restore;
pub mod token;

use anyhow::{Context, Result};
use pinrail_domain::Account;
use pinrail_storage::Accounts;
use serde::Serialize;

/// The account with this name.
async fn find_account(accounts: &dyn Accounts, name: &str) -> Result<Account> {
    let found = accounts.find_account_by_name(name).await?;
    found.with_context(|| format!("there is no account {name:?}, `pinrail-api account list` shows those there are"))
}

/// Print a value as JSON, for scripts.
fn print_json(value: &impl Serialize) -> Result<()> {
    println!("{}", serde_json::to_string_pretty(value)?);
    Ok(())
}

/// Print rows under their headings, for people; `nothing` when there are none.
fn print_table<const N: usize>(headings: [&str; N], rows: &[[String; N]], nothing: &str) {
    if rows.is_empty() {
        println!("{nothing}");
        return;
    }
    let width = |column: usize| rows.iter().map(|row| row[column].chars().count()).max().unwrap_or(0);
    let widths = headings.iter().enumerate().map(|(column, heading)| width(column).max(heading.len()));
    let widths = widths.collect::<Vec<_>>();
    let line = |cells: [&str; N]| {
        let padded = cells.iter().zip(&widths).map(|(cell, width)| format!("{cell:width$}"));
        println!("{}", padded.collect::<Vec<_>>().join("  ").trim_end());
    };
    line(headings);
    for row in rows {
        line(row.each_ref().map(String::as_str));
    }
}

/// A value that may be absent, in a table.
fn or_dash<T: ToString>(value: Option<&T>) -> String {
    value.map_or_else(|| "-".to_owned(), T::to_string)
}
