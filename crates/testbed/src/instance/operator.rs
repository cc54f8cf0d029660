//! The operator's commands of `pinrail-api` that come before anybody can pin.

use std::process::Command;

use anyhow::{Context, Result};
use serde_json::Value;

use super::Instance;
use crate::command::run;

/// What a token that is minted here may do.
const SCOPES: &[&str] = &["pins:read", "pins:write", "pins:delete"];

impl Instance {
    /// Makes the tables, or brings them up to date.
    pub fn migrate(&self) -> Result<()> {
        self.command(&["migrate"]).map(drop)
    }

    /// Makes an account with unlimited access, unless it is there.
    pub fn ensure_account(&self, name: &str) -> Result<()> {
        let found = run(self.arguments(&["account", "show", name, "--json"]))?;
        if !found.status.success() {
            self.command(&["account", "add", name, "--json"])?;
        }
        self.command(&["access", "grant", name, "--unlimited"]).map(drop)
    }

    /// Mints a token that can do everything with pins.
    pub fn mint_token(&self, account: &str, name: &str) -> Result<String> {
        self.mint_scoped(account, name, SCOPES)
    }

    /// Mints a token with some scopes.
    pub fn mint_scoped(&self, account: &str, name: &str, scopes: &[&str]) -> Result<String> {
        let mut arguments = vec!["token", "mint", account, "--name", name, "--expires", "never", "--json"];
        for scope in scopes {
            arguments.extend(["--scope", scope]);
        }
        let minted = self.json(&arguments)?;
        let token = minted["token"].as_str().context("`token mint --json` printed no `token`")?;
        Ok(token.to_owned())
    }

    /// Runs an operator's command that prints JSON.
    pub fn json(&self, arguments: &[&str]) -> Result<Value> {
        let output = self.command(arguments)?;
        let document = output.find('{').map_or("", |start| &output[start..]);
        serde_json::from_str(document)
            .with_context(|| format!("`pinrail-api {}` printed no JSON: {output}", arguments.join(" ")))
    }

    /// Runs an operator's command; returns its output.
    pub fn command(&self, arguments: &[&str]) -> Result<String> {
        let what = format!("pinrail-api {}", arguments.join(" "));
        run(self.arguments(arguments))?.success(&what)
    }

    fn arguments(&self, arguments: &[&str]) -> Command {
        let mut command = self.api();
        command.args(arguments);
        command
    }
}
