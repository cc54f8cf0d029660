//! The built program on a data folder of its own.

use std::io::Write;
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;
use std::process::{Command, Output, Stdio};

use pinrail_testbed::unprivileged::Unprivileged;
use serde_json::Value;
use tempfile::TempDir;

/// `pinrail-api` on a data folder of its own.
pub struct Api {
    folder: TempDir,
}

impl Api {
    /// On an empty data folder.
    pub fn new() -> Self {
        let private = std::fs::Permissions::from_mode(0o700);
        Self { folder: tempfile::Builder::new().permissions(private).tempdir().expect("a folder") }
    }

    /// On a data folder with a migrated database.
    pub fn migrated() -> Self {
        let api = Self::new();
        api.prints(&["migrate"]);
        api
    }

    /// A path in the data folder.
    pub fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// The program with these arguments, in an environment that holds nothing of ours.
    pub fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_pinrail-api"));
        command.env_clear().arg("--data-dir").arg(self.folder.path()).args(arguments);
        command
    }

    /// What it prints when it succeeds.
    pub fn prints(&self, arguments: &[&str]) -> String {
        self.prints_given(arguments, "")
    }

    /// What it prints when it succeeds with this on its standard input.
    pub fn prints_given(&self, arguments: &[&str], input: &str) -> String {
        let output = run(self.command(arguments), input);
        assert!(output.status.success(), "{arguments:?}: {}", text(&output.stderr));
        text(&output.stdout)
    }

    /// What it prints as JSON.
    pub fn json(&self, arguments: &[&str]) -> Value {
        serde_json::from_str(&self.prints(arguments)).expect("JSON")
    }

    /// What it says when it fails.
    pub fn fails(&self, arguments: &[&str]) -> String {
        self.fails_in(&[], arguments)
    }

    /// What it says when it fails with this on its standard input.
    pub fn fails_given(&self, arguments: &[&str], input: &str) -> String {
        failed(&run(self.command(arguments), input), arguments)
    }

    /// What it says when it fails in this environment.
    pub fn fails_in(&self, environment: &[(&str, &str)], arguments: &[&str]) -> String {
        let mut command = self.command(arguments);
        command.envs(environment.iter().copied());
        failed(&run(command, ""), arguments)
    }

    /// What it prints when it succeeds without the rights of root.
    pub fn prints_as(&self, program: &Unprivileged, arguments: &[&str]) -> String {
        let mut command = program.command();
        command.env_clear().arg("--data-dir").arg(self.folder.path()).args(arguments);
        let output = run(command, "");
        assert!(output.status.success(), "{arguments:?}: {}", text(&output.stderr));
        text(&output.stdout)
    }

    /// What it says when it fails without the rights of root.
    pub fn fails_as(&self, program: &Unprivileged, arguments: &[&str]) -> String {
        let mut command = program.command();
        command.env_clear().arg("--data-dir").arg(self.folder.path()).args(arguments);
        failed(&run(command, ""), arguments)
    }

    /// What it says of arguments that cannot be read.
    pub fn refuses(&self, arguments: &[&str]) -> String {
        let output = run(self.command(arguments), "");
        assert_eq!(output.status.code(), Some(2), "{arguments:?}: {}", text(&output.stdout));
        text(&output.stderr)
    }

    /// What `check` says when it finds something.
    pub fn check(&self) -> String {
        let output = run(self.command(&["check"]), "");
        assert_eq!(output.status.code(), Some(1));
        text(&output.stdout) + &text(&output.stderr)
    }
}

fn failed(output: &Output, arguments: &[&str]) -> String {
    assert_eq!(output.status.code(), Some(1), "{arguments:?}: {}", text(&output.stdout));
    text(&output.stderr)
}

fn run(mut command: Command, input: &str) -> Output {
    let pipes = command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = pipes.spawn().expect("it starts");
    child.stdin.take().expect("a pipe").write_all(input.as_bytes()).expect("it is read or small");
    child.wait_with_output().expect("it ends")
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}
