//! The commands as they are typed.

use std::path::PathBuf;

use anyhow::{Result, anyhow};
use clap::{Args, Subcommand, ValueEnum};
use clap_complete::Shell;
use pinrail_domain::Scope;
use pinrail_domain::settings::parse_size;

use super::ServeArgs;
use crate::system::{Expiry, Since};

/// What the program can do.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Answer pinning requests over HTTP until it is told to stop
    Serve(Box<ServeArgs>),
    /// Make the database's tables, or bring them up to date
    #[command(after_help = "Examples:\n  pinrail-api migrate\n  pinrail-api migrate status")]
    Migrate {
        /// What to do
        #[arg(value_enum, default_value = "run")]
        step: MigrateStep,
    },
    /// Say all that is wrong with the settings, the database, the keys and the nodes
    #[command(after_help = "Example:\n  pinrail-api check && systemctl restart pinrail-api")]
    Check {
        /// Print JSON
        #[arg(long)]
        json: bool,
    },
    /// Add, list, show, block and unblock accounts
    #[command(subcommand)]
    Account(AccountCommand),
    /// Grant and withdraw pinning access
    #[command(subcommand)]
    Access(AccessCommand),
    /// Mint, list, narrow, inspect and revoke access tokens
    #[command(subcommand)]
    Token(TokenCommand),
    /// Rotate and list the keys that sign tokens
    #[command(subcommand)]
    Key(KeyCommand),
    /// Show what operators and administrators did
    #[command(subcommand)]
    Audit(AuditCommand),
    /// List and retire the IPFS nodes that hold roots
    #[command(subcommand)]
    Node(NodeCommand),
    /// Copy the database to another one, or put right what a clock that was ahead has left in it
    #[command(subcommand)]
    Database(DatabaseCommand),
    /// Write all that the database holds, and the private signing keys, to one file while everything runs
    ///
    /// The file is written beside its place and moved there when it is whole; a backup that is there is replaced. It
    /// holds neither the blocks nor the settings. Whoever reads it can mint tokens: it is readable by its owner alone.
    #[command(after_help = "Examples:
  pinrail-api backup --to /backup/pinrail.tar
  tar --to-stdout -xf /backup/pinrail.tar manifest.json")]
    Backup {
        /// The file
        #[arg(long, value_name = "FILE")]
        to: PathBuf,
    },
    /// Fill an empty database, SQLite or PostgreSQL, and the folder of signing keys from a backup
    ///
    /// Nothing is touched before all of the file was read and found whole. Roots that were pinned are queued: the
    /// nodes verify what they still have and fetch the rest. No program may run on the database meanwhile.
    #[command(after_help = "Examples:
  pinrail-api restore --from /backup/pinrail.tar
  pinrail-api --data-dir /tmp/trial restore --from /backup/pinrail.tar && pinrail-api --data-dir /tmp/trial check")]
    Restore {
        /// The file
        #[arg(long, value_name = "FILE")]
        from: PathBuf,
    },
    /// Print the OpenAPI document
    #[command(hide = true, after_help = "Example:\n  pinrail-api openapi > openapi.json")]
    Openapi,
    /// Print the completions of a shell
    #[command(after_help = "Example:\n  pinrail-api completions bash > /etc/bash_completion.d/pinrail-api")]
    Completions {
        /// The shell
        shell: Shell,
    },
}

impl Command {
    /// Whether it reads or writes files of the data folder.
    pub fn uses_data_folder(&self) -> bool {
        !matches!(
            self,
            Self::Openapi
                | Self::Completions { .. }
                | Self::Token(TokenCommand::Attenuate(_) | TokenCommand::Inspect { .. })
        )
    }
}

/// What `migrate` does.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum MigrateStep {
    /// Run what has not run yet
    Run,
    /// Say what has run and what has not
    Status,
    /// Undo the last one with all that its tables hold, for development
    Revert,
}

/// Databases.
#[derive(Debug, Subcommand)]
pub enum DatabaseCommand {
    /// Copy everything to another database, which has to be empty, SQLite or PostgreSQL
    ///
    /// Stop all programs first: what they wrote meanwhile would be left behind. The new database is filled in one
    /// transaction, so it has everything or nothing; the old one is only read. Signing keys and blocks stay where they
    /// are.
    #[command(after_help = "Examples:
  pinrail-api database copy --to postgres://pinrail@db.example.net/pinrail
  pinrail-api database copy --from postgres://pinrail@db.example.net/pinrail --to /var/lib/pinrail/pinrail.db")]
    Copy {
        /// The database to copy: the path of a SQLite file, or postgres://<user>@<host>/<database> [default: that of
        /// the settings]
        #[arg(long, value_name = "DATABASE")]
        from: Option<String>,
        /// The empty database to fill, written the same way
        #[arg(long, value_name = "DATABASE")]
        to: String,
    },
    /// Bring everything that lies in the future, because a clock was ahead once, back to now
    ///
    /// Stop all programs first, and see that the clock is right: that of this machine for SQLite, the server's for
    /// PostgreSQL. Pins that were made in the future keep their order and get another `created`, just before now.
    #[command(after_help = "Example:\n  date && pinrail-api database repair-clock && pinrail-api check")]
    RepairClock,
}

/// Accounts.
#[derive(Debug, Subcommand)]
pub enum AccountCommand {
    /// Add an account; it may read, and pin once it is granted access
    #[command(after_help = "Example:\n  pinrail-api account add ada --email ada@example.net")]
    Add {
        /// Its name, 1 to 64 characters
        name: String,
        /// Where to write to
        #[arg(long)]
        email: Option<String>,
        /// Let it administer the service
        #[arg(long)]
        administrator: bool,
        /// Print JSON
        #[arg(long)]
        json: bool,
    },
    /// List all accounts
    #[command(after_help = "Example:\n  pinrail-api account list --json | jq '.[].name'")]
    List {
        /// Print JSON
        #[arg(long)]
        json: bool,
    },
    /// Show an account with its access, limits and usage
    #[command(after_help = "Example:\n  pinrail-api account show ada")]
    Show {
        /// Its name
        name: String,
        /// Print JSON
        #[arg(long)]
        json: bool,
    },
    /// Block an account: it may only read, what it has pinned stays
    #[command(after_help = "Example:\n  pinrail-api account block ada --reason 'unpaid since March'")]
    Block {
        /// Its name
        name: String,
        /// Why, for its owner and for the audit log
        #[arg(long)]
        reason: String,
    },
    /// Unblock an account
    #[command(after_help = "Example:\n  pinrail-api account unblock ada")]
    Unblock {
        /// Its name
        name: String,
    },
}

/// Access.
#[derive(Debug, Subcommand)]
pub enum AccessCommand {
    /// Let an account pin, within limits
    Grant(GrantArgs),
    /// Let an account pin no more; what it has pinned stays
    #[command(after_help = "Example:\n  pinrail-api access withdraw ada")]
    Withdraw {
        /// The account's name
        name: String,
    },
}

/// What is granted.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  pinrail-api access grant ada
  pinrail-api access grant ada --requests 5000 --bytes 200GiB --until 90d
  pinrail-api access grant ada --until 2031-01-31
  pinrail-api access grant ada --unlimited")]
pub struct GrantArgs {
    /// The account's name
    pub name: String,
    /// Lift all limits
    #[arg(long, conflicts_with_all = ["requests", "queued", "bytes"])]
    pub unlimited: bool,
    /// The most pin requests it may have [default: unchanged]
    #[arg(long, value_name = "N")]
    pub requests: Option<u64>,
    /// The most roots that may be waiting or on their way [default: unchanged]
    #[arg(long, value_name = "N")]
    pub queued: Option<u64>,
    /// The most bytes it may have pinned [default: unchanged]
    #[arg(long, value_name = "SIZE", value_parser = parse_size)]
    pub bytes: Option<u64>,
    /// When the access ends: a time from now, a date, which counts from midnight UTC, or never [default: unchanged, and
    /// never for an account without access]
    #[arg(long, value_name = "WHEN")]
    pub until: Option<Expiry>,
}

/// Tokens.
#[derive(Debug, Subcommand)]
pub enum TokenCommand {
    /// Mint a token and print it; it is not kept and cannot be shown again
    Mint(MintArgs),
    /// List an account's tokens, without their text
    #[command(after_help = "Example:\n  pinrail-api token list ada")]
    List {
        /// The account's name
        account: String,
        /// Print JSON
        #[arg(long)]
        json: bool,
    },
    /// Narrow a token without asking the service, and print the narrower one
    Attenuate(NarrowArgs),
    /// Say what a token says of itself; nothing of it is verified
    #[command(after_help = "Example:\n  pinrail-api token inspect - < token.txt")]
    Inspect {
        /// The token, or - to read it from the standard input
        #[arg(allow_hyphen_values = true)]
        token: String,
        /// Print JSON
        #[arg(long)]
        json: bool,
    },
    /// Revoke a token and everything narrowed from it, at once
    ///
    /// Given by its id, the token as it was minted ends with all that was narrowed from it. Given by its text, a token
    /// that was narrowed ends alone, with what was narrowed from it.
    #[command(after_help = "Examples:
  pinrail-api token revoke 0193a5c1-7f3e-7c1a-9d5b-1f2e3d4c5b6a
  pinrail-api token revoke - < leaked.txt")]
    Revoke {
        /// Its id, as `token list` shows it, or its text, or - to read that from the standard input
        #[arg(allow_hyphen_values = true)]
        token: String,
        /// The revocation id of one of its blocks, as `token inspect` shows it: only what was narrowed from there ends
        #[arg(long, value_name = "REVOCATION_ID")]
        block: Option<String>,
    },
}

/// What is minted.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  pinrail-api token mint ada --name laptop
  pinrail-api token mint ada --name dashboard --scope pins:read --expires 1y
  pinrail-api token mint ada --name archive --expires never
  ipfs pin remote service add pinrail http://127.0.0.1:7400 \"$(pinrail-api token mint ada --name kubo)\"")]
pub struct MintArgs {
    /// The account's name
    pub account: String,
    /// What the token is for, 1 to 64 characters
    #[arg(long)]
    pub name: String,
    /// What it allows, several times for several [default: pins:read, pins:write and pins:delete]
    #[arg(long, value_name = "SCOPE", value_delimiter = ',')]
    pub scope: Vec<Scope>,
    /// When it ends: a time from now, a date, which counts from midnight UTC, or never
    #[arg(long, value_name = "WHEN", default_value = "90d")]
    pub expires: Expiry,
    /// Print JSON
    #[arg(long)]
    pub json: bool,
}

/// What is left of a token.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  pinrail-api token attenuate \"$TOKEN\" --read-only --expires 1h
  pinrail-api token attenuate - --name-prefix backup/ < token.txt
  pinrail-api token attenuate - --name backup/monday < token.txt")]
pub struct NarrowArgs {
    /// The token, or - to read it from the standard input
    #[arg(allow_hyphen_values = true)]
    pub token: String,
    /// Only read pins
    #[arg(long)]
    pub read_only: bool,
    /// Only pins with this name
    #[arg(long, conflicts_with = "name_prefix")]
    pub name: Option<String>,
    /// Only pins whose name begins so
    #[arg(long, value_name = "PREFIX")]
    pub name_prefix: Option<String>,
    /// Only pins of this CID
    #[arg(long, value_name = "CID")]
    pub cid: Option<String>,
    /// Only until then: a time from now, or a date, which counts from midnight UTC
    #[arg(long, value_name = "WHEN")]
    pub expires: Option<Expiry>,
}

/// Keys.
#[derive(Debug, Subcommand)]
pub enum KeyCommand {
    /// Make a new signing key; the old ones go on verifying what they signed
    #[command(after_help = "Example:\n  pinrail-api key rotate")]
    Rotate {
        /// Print JSON
        #[arg(long)]
        json: bool,
    },
    /// List the signing keys
    #[command(after_help = "Example:\n  pinrail-api key list")]
    List {
        /// Print JSON
        #[arg(long)]
        json: bool,
    },
    /// Accept nothing any more that a key signed, for one that leaked
    #[command(after_help = "Example:\n  pinrail-api key rotate && pinrail-api key revoke 3")]
    Revoke {
        /// Its id, as `key list` shows it
        #[arg(value_parser = key_id)]
        id: u32,
    },
}

/// The audit log.
#[derive(Debug, Subcommand)]
pub enum AuditCommand {
    /// List what was done to accounts, access, tokens, keys and nodes, and backups and restores, the newest first
    #[command(after_help = "Examples:
  pinrail-api audit list
  pinrail-api audit list --account ada --since 7d
  pinrail-api audit list --since 2031-01-31 --limit 10000 --json")]
    List {
        /// Only what was done to this account and its tokens
        #[arg(long, value_name = "NAME")]
        account: Option<String>,
        /// Only from then on: a time ago, or a date, which counts from midnight UTC
        #[arg(long, value_name = "WHEN")]
        since: Option<Since>,
        /// The most entries
        #[arg(long, value_name = "N", default_value_t = 100)]
        limit: u32,
        /// Print JSON
        #[arg(long)]
        json: bool,
    },
}

/// Nodes.
#[derive(Debug, Subcommand)]
pub enum NodeCommand {
    /// List the IPFS nodes
    #[command(after_help = "Example:\n  pinrail-api node list")]
    List {
        /// Print JSON
        #[arg(long)]
        json: bool,
    },
    /// Take a node that will not come back out of service: what it held is fetched again by others
    #[command(after_help = "Example:\n  pinrail-api node retire 0193a5c1-7f3e-7c1a-9d5b-1f2e3d4c5b6a")]
    Retire {
        /// Its id, as `node list` shows it
        id: String,
    },
}

fn key_id(text: &str) -> Result<u32> {
    text.parse().map_err(|_| anyhow!("not the id of a key, wanted a number as `key list` shows it"))
}
