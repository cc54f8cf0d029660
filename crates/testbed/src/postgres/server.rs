//! The server: made, started, stopped, started again.

use std::fs;
use std::io::Write;
use std::net::{Ipv4Addr, TcpListener};
use std::os::unix::fs::{PermissionsExt, chown};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use super::Missing;
use super::programs::{folder, unprivileged};

/// The superuser of every server here; connections from this machine need no password.
const USER: &str = "pinrail";
/// How often a server that starts is asked whether it answers.
const LOOK: Duration = Duration::from_millis(20);
/// How often it is asked before it is given up: half a minute.
const LOOKS: u32 = 1_500;

/// Stands between this process and the server. A word on its standard input stops the server and leaves its folder;
/// when the input ends without one, whoever held it is gone, and the folder goes too.
const KEEPER: &str = r#"
bin=$1; data=$2; shift 2
"$bin/postgres" -D "$data" "$@" </dev/null >>"$data/log" 2>&1 &
server=$!
if read -r how; then
    kill -"$how" $server
    wait $server
else
    kill -QUIT $server
    wait $server
    rm -rf "$data"
fi
"#;

/// The settings of a new server.
#[derive(Debug, Clone, Default)]
pub struct ServerOptions {
    /// Makes each commit wait for the disk, as an operator's server does. Tests are quicker without.
    pub durable: bool,
    /// A certificate and its key in PEM; with them only connections over TLS are accepted.
    pub tls: Option<Tls>,
    /// Further settings, as `postgres -c` takes them: `max_connections=5`.
    pub settings: Vec<String>,
    /// Variables that the server sees beside its own.
    pub environment: Vec<(String, String)>,
}

/// The certificate of a server.
#[derive(Debug, Clone)]
pub struct Tls {
    /// The certificate in PEM.
    pub certificate: String,
    /// Its private key in PEM.
    pub key: String,
}

/// A running server. It stops, and its folder goes, when this is dropped or the process ends in any way.
#[derive(Debug)]
pub struct Server {
    bin: PathBuf,
    folder: PathBuf,
    port: u16,
    arguments: Vec<String>,
    environment: Vec<(String, String)>,
    keeper: Mutex<Option<Child>>,
    databases: AtomicU64,
}

impl Server {
    /// Make a cluster in a folder of its own and start it on a free port of 127.0.0.1.
    pub fn start(options: &ServerOptions) -> Result<Self, Missing> {
        let bin = folder()?;
        let folder = tempfile::Builder::new().prefix("pinrail-postgres-").tempdir().map_err(cannot("make a folder"))?;
        let folder = folder.keep();
        if let Some((user, group)) = unprivileged() {
            chown(&folder, Some(user), Some(group)).map_err(cannot("give the folder away"))?;
        }
        let port = free_port()?;
        let server = Self {
            arguments: arguments(options, &folder, port),
            environment: options.environment.clone(),
            bin,
            folder,
            port,
            keeper: Mutex::new(None),
            databases: AtomicU64::new(0),
        };
        server.make_cluster(options)?;
        server.start_again()?;
        Ok(server)
    }

    /// The address of one of its databases.
    pub fn url(&self, database: &str) -> String {
        format!("postgres://{USER}@127.0.0.1:{}/{database}", self.port)
    }

    /// The port that it listens on.
    pub const fn port(&self) -> u16 {
        self.port
    }

    /// Make an empty database; its name.
    pub fn create(&self) -> Result<String, Missing> {
        self.create_like("template0")
    }

    /// Make a database as another one is, which nobody may be connected to; its name.
    pub fn create_like(&self, template: &str) -> Result<String, Missing> {
        let name = format!("pinrail_{}", self.databases.fetch_add(1, Ordering::Relaxed));
        self.sql("postgres", &format!("CREATE DATABASE {name} TEMPLATE {template}"))?;
        Ok(name)
    }

    /// Have `psql` run SQL in a database; what it prints, without headings.
    pub fn sql(&self, database: &str, sql: &str) -> Result<String, Missing> {
        let mut command = self.program("psql");
        command.args(["-X", "-q", "-A", "-t", "-v", "ON_ERROR_STOP=1", "-h"]).arg(&self.folder);
        command.args(["-p", &self.port.to_string(), "-U", USER, "-d", database, "-c", sql]);
        done("psql", command)
    }

    /// Stop it as an operator does: open transactions are rolled back, connections are cut.
    pub fn stop(&self) {
        self.end("INT");
    }

    /// Stop it as a crash does: it has to recover when it starts again.
    pub fn crash(&self) {
        self.end("QUIT");
    }

    /// The ids of its processes, first the one that started the others; none while it is stopped.
    pub fn processes(&self) -> Result<Vec<u32>, Missing> {
        let Ok(text) = fs::read_to_string(self.folder.join("postmaster.pid")) else { return Ok(Vec::new()) };
        let first = text.lines().next().and_then(|line| line.parse().ok());
        let first = first.ok_or_else(|| Missing("postmaster.pid names no process".to_owned()))?;
        children_of(first).map(|children| [vec![first], children].concat()).map_err(cannot("list processes"))
    }

    /// Start it after it was stopped, on the same port, with what it held.
    pub fn start_again(&self) -> Result<(), Missing> {
        let mut command = self.unprivileged(Command::new("sh"));
        command.args(["-c", KEEPER, "keeper"]).arg(&self.bin).arg(&self.folder).args(&self.arguments);
        command.stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::null()).process_group(0);
        command.envs(self.environment.iter().map(|(name, value)| (name, value)));
        let keeper = command.spawn().map_err(cannot("start a shell"))?;
        *self.keeper.lock().unwrap_or_else(PoisonError::into_inner) = Some(keeper);
        for _ in 0..LOOKS {
            if self.sql("postgres", "SELECT 1").is_ok() {
                return Ok(());
            }
            std::thread::sleep(LOOK);
        }
        Err(Missing(format!("PostgreSQL does not answer; its log:\n{}", self.log())))
    }

    fn end(&self, signal: &str) {
        let Some(mut keeper) = self.keeper.lock().unwrap_or_else(PoisonError::into_inner).take() else { return };
        if let Some(mut input) = keeper.stdin.take() {
            // A keeper that is gone has nothing left to stop.
            drop(writeln!(input, "{signal}"));
        }
        drop(keeper.wait());
    }

    fn make_cluster(&self, options: &ServerOptions) -> Result<(), Missing> {
        let mut initdb = self.program("initdb");
        initdb.args([
            "-U",
            USER,
            "-A",
            "trust",
            "-E",
            "UTF8",
            "--locale=C.UTF-8",
            "--no-sync",
            "--no-instructions",
            "-D",
        ]);
        done("initdb", {
            initdb.arg(&self.folder);
            initdb
        })?;
        let Some(tls) = &options.tls else { return Ok(()) };
        let only_tls = "local all all trust\nhostssl all all 127.0.0.1/32 trust\n";
        for (name, text) in [("pg_hba.conf", only_tls), ("server.crt", &*tls.certificate), ("server.key", &*tls.key)] {
            let path = self.folder.join(name);
            fs::write(&path, text).map_err(cannot("write to the folder"))?;
            fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).map_err(cannot("protect a file"))?;
            if let Some((user, group)) = unprivileged() {
                chown(&path, Some(user), Some(group)).map_err(cannot("give a file away"))?;
            }
        }
        Ok(())
    }

    fn program(&self, name: &str) -> Command {
        self.unprivileged(Command::new(self.bin.join(name)))
    }

    fn unprivileged(&self, mut command: Command) -> Command {
        if let Some((user, group)) = unprivileged() {
            command.uid(user).gid(group);
        }
        command.current_dir(&self.folder);
        command
    }

    fn log(&self) -> String {
        fs::read_to_string(self.folder.join("log")).unwrap_or_default()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let keeper = self.keeper.lock().unwrap_or_else(PoisonError::into_inner).take();
        match keeper {
            Some(mut keeper) => {
                drop(keeper.stdin.take());
                drop(keeper.wait());
            }
            None => drop(fs::remove_dir_all(&self.folder)),
        }
    }
}

fn arguments(options: &ServerOptions, folder: &Path, port: u16) -> Vec<String> {
    let mut settings = vec![
        "listen_addresses=127.0.0.1".to_owned(),
        format!("port={port}"),
        format!("unix_socket_directories={}", folder.display()),
        "max_connections=300".to_owned(),
    ];
    if !options.durable {
        settings.extend(["fsync=off", "synchronous_commit=off", "full_page_writes=off"].map(str::to_owned));
    }
    if options.tls.is_some() {
        settings.push("ssl=on".to_owned());
    }
    settings.extend(options.settings.iter().cloned());
    settings.into_iter().flat_map(|setting| ["-c".to_owned(), setting]).collect()
}

/// The processes that another one started and that still run.
fn children_of(parent: u32) -> std::io::Result<Vec<u32>> {
    let mut children = Vec::new();
    for entry in fs::read_dir("/proc")? {
        let Some(id) = entry?.file_name().to_str().and_then(|name| name.parse().ok()) else { continue };
        // One that has ended meanwhile is none.
        let status = fs::read_to_string(format!("/proc/{id}/status")).unwrap_or_default();
        if status.lines().any(|line| line.strip_prefix("PPid:").is_some_and(|id| id.trim() == parent.to_string())) {
            children.push(id);
        }
    }
    Ok(children)
}

/// A port that nobody listens on; another program may take it before the server does, which then says so.
fn free_port() -> Result<u16, Missing> {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).map_err(cannot("find a free port"))?;
    Ok(listener.local_addr().map_err(cannot("find a free port"))?.port())
}

fn done(name: &str, mut command: Command) -> Result<String, Missing> {
    let output = command.stdin(Stdio::null()).output().map_err(cannot(name))?;
    if output.status.success() {
        return Ok(String::from_utf8_lossy(&output.stdout).into_owned());
    }
    Err(Missing(format!("{name} failed: {}", String::from_utf8_lossy(&output.stderr).trim())))
}

fn cannot(what: &str) -> impl FnOnce(std::io::Error) -> Missing {
    move |error| Missing(format!("cannot {what}: {error}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_server_answers_and_leaves_nothing() {
        let server = Server::start(&ServerOptions::default()).expect("PostgreSQL is installed");
        let name = server.create().expect("a database is made");
        server.sql(&name, "CREATE TABLE kept (n INT); INSERT INTO kept VALUES (7)").expect("it is written");
        let copy = server.create_like(&name).expect("a database is copied");
        server.stop();
        assert!(server.sql(&copy, "SELECT 1").is_err(), "it is stopped");
        server.start_again().expect("it starts");
        assert_eq!(server.sql(&copy, "SELECT n FROM kept").expect("it is read").trim(), "7");
        let folder = server.folder.clone();
        drop(server);
        assert!(!folder.exists(), "the folder is gone");
    }

    #[test]
    fn it_goes_with_whoever_started_it() {
        let server = Server::start(&ServerOptions::default()).expect("PostgreSQL is installed");
        let folder = server.folder.clone();
        let mut keeper = server.keeper.lock().expect("nobody panicked").take().expect("it runs");
        // As when this process is killed: its end of the pipe closes.
        drop(keeper.stdin.take());
        keeper.wait().expect("the keeper ends");
        assert!(!folder.exists(), "the folder is gone");
    }
}
