//! The built program on a data folder of its own.

use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Output, Stdio};
use std::sync::mpsc::{self, Receiver};
use std::thread;
use std::time::Duration;

use pinrail_testbed::unprivileged::Unprivileged;
use serde_json::Value;

/// Longer than anything here takes on a busy machine.
pub const LONG: Duration = Duration::from_mins(2);

/// The program with these arguments, in an environment that holds nothing of ours.
pub fn command(data: &Path, arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_pinrail-worker"));
    command.env_clear().arg("--data-dir").arg(data).args(arguments).stdin(Stdio::null());
    if data.is_dir() {
        // What a command that is killed leaves behind goes with the test.
        command.env("TMPDIR", data);
    }
    command
}

/// What it prints when it succeeds.
pub fn prints(data: &Path, arguments: &[&str]) -> String {
    let output = command(data, arguments).output().expect("it starts");
    assert!(output.status.success(), "{arguments:?}: {}", text(&output.stderr));
    text(&output.stdout)
}

/// The one line that it says when it fails.
pub fn fails(data: &Path, arguments: &[&str]) -> String {
    failed(&mut command(data, arguments))
}

/// The one line that it says when it fails without the rights of root.
pub fn fails_as(program: &Unprivileged, data: &Path, arguments: &[&str]) -> String {
    failed(program.command().env_clear().arg("--data-dir").arg(data).args(arguments).stdin(Stdio::null()))
}

fn failed(command: &mut Command) -> String {
    let Output { status, stdout, stderr } = command.output().expect("it starts");
    assert_eq!(status.code(), Some(1), "{command:?}: {}", text(&stdout));
    let error = text(&stderr);
    assert!(error.starts_with("error: ") && error.trim_end().lines().count() == 1, "{error}");
    error
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

/// A program that goes on until it is stopped, and its lines of JSON.
pub struct Running {
    child: Child,
    lines: Receiver<Value>,
}

impl Running {
    /// Provide `path` from a node of its own; its CID and addresses.
    pub fn provide(data: &Path, path: &Path) -> (Self, String, Vec<String>) {
        let path = path.to_str().expect("UTF-8");
        let mut child = command(data, &["provide", path, "--json"]).stdout(Stdio::piped()).spawn().expect("it starts");
        let lines = read(child.stdout.take().expect("a pipe"));
        let running = Self { child, lines };
        let told = running.lines.recv_timeout(LONG).expect("it says what it provides");
        let addresses = told["addresses"].as_array().expect("a list").iter();
        let addresses = addresses.map(|address| address.as_str().expect("text").to_owned()).collect();
        (running, told["cid"].as_str().expect("text").to_owned(), addresses)
    }

    /// Serve on any free ports; the base address of its health.
    pub fn serve(data: &Path) -> (Self, String) {
        let (running, up) = Self::serve_with(data, &[]);
        (running, format!("http://{}/health", up["health"].as_str().expect("text")))
    }

    /// Serve on any free ports with further arguments; what it says when it is up.
    pub fn serve_with(data: &Path, further: &[&str]) -> (Self, Value) {
        let free = ["--health", "127.0.0.1:0", "--listen", "/ip4/127.0.0.1/tcp/0", "--reserve", "1MiB"];
        let arguments =
            [&["serve", "--log-format", "json", "--ballast", "1MiB", "--allow-private"], &free[..], further].concat();
        let mut child = command(data, &arguments).stderr(Stdio::piped()).spawn().expect("it starts");
        let lines = read(child.stderr.take().expect("a pipe"));
        let running = Self { child, lines };
        let up = running.wait_for("pinrail-worker is up");
        running.wait_for("registered");
        (running, up)
    }

    /// The fields of the next log line with this message, those of its span included.
    pub fn wait_for(&self, message: &str) -> Value {
        loop {
            let line = self.lines.recv_timeout(LONG).unwrap_or_else(|_| panic!("never said {message:?}"));
            if line["fields"]["message"] == message {
                let span = line["span"].as_object().into_iter().flatten();
                let fields = line["fields"].as_object().into_iter().flatten();
                return span.chain(fields).map(|(name, value)| (name.clone(), value.clone())).collect();
            }
        }
    }

    /// Tell it to stop, and wait until it has.
    pub fn terminate(&mut self) -> ExitStatus {
        terminate(&mut self.child)
    }

    /// End it without a word, and wait until it is gone.
    pub fn kill(&mut self) {
        self.child.kill().expect("it runs");
        self.child.wait().expect("it ends");
    }
}

/// Tell a program to stop, and wait until it has.
pub fn terminate(child: &mut Child) -> ExitStatus {
    let sent = Command::new("kill").args(["-TERM", &child.id().to_string()]).status();
    assert!(sent.expect("there is a kill").success());
    child.wait().expect("it ends")
}

impl Drop for Running {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn read(pipe: impl std::io::Read + Send + 'static) -> Receiver<Value> {
    let (line, lines) = mpsc::channel();
    thread::spawn(move || {
        for text in BufReader::new(pipe).lines().map_while(Result::ok) {
            // The receiver goes when the test ends.
            let _ = line.send(serde_json::from_str(&text).unwrap_or(Value::String(text)));
        }
    });
    lines
}

/// A file of `size` bytes that no other seed gives.
pub fn write_file(path: PathBuf, size: usize, seed: u64) -> PathBuf {
    let mut state = seed;
    let mut next = || {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        state.to_be_bytes()
    };
    let bytes = (0..size.div_ceil(8)).flat_map(|_| next()).take(size).collect::<Vec<_>>();
    std::fs::write(&path, bytes).expect("a folder of ours");
    path
}
