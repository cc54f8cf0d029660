//! Opening and migrating a PostgreSQL database, and what is wrong with one, each in one line.

use std::collections::BTreeMap;
use std::time::Duration;

use pinrail_domain::Limits;
use pinrail_storage::{PinRequests, Storage};
use pinrail_storage_diesel::{PostgresError, PostgresOptions, PostgresStorage, Problem, postgres_schema};
use pinrail_testbed::postgres::{Server, ServerOptions, Tls};
use rcgen::{CertifiedKey, generate_simple_self_signed};

use crate::clock::system_time;
use crate::running::ensure_woken;
use crate::scene::{request, settle_in};
use crate::server::PostgresDatabase;

async fn open(url: &str) -> Result<PostgresStorage, PostgresError> {
    PostgresStorage::open(url, &PostgresOptions::default()).await
}

/// What is wrong with a database, told in one line without its password.
async fn wrong(url: &str) -> Problem {
    let error = open(url).await.err().expect("it is not opened");
    let line = error.to_string();
    assert_eq!(line.lines().count(), 1, "{line}");
    assert!(!line.contains("s3cret"), "{line}");
    error.problem
}

/// A certificate for names, in PEM, with its key.
fn certificate(names: &[&str]) -> Tls {
    let names = names.iter().map(|name| (*name).to_owned()).collect::<Vec<_>>();
    let CertifiedKey { cert, key_pair } = generate_simple_self_signed(names).expect("a certificate is made");
    Tls { certificate: cert.pem(), key: key_pair.serialize_pem() }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_verified_certificate_is_wanted() {
    let folder = tempfile::tempdir().expect("there is room");
    let file = |name: &str, tls: &Tls| {
        let path = folder.path().join(name);
        std::fs::write(&path, &tls.certificate).expect("it is ours");
        path.display().to_string()
    };
    let (own, strange) = (certificate(&["127.0.0.1"]), certificate(&["127.0.0.1"]));
    let (trusted, other) = (file("own.pem", &own), file("strange.pem", &strange));
    let server = Server::start(&ServerOptions { tls: Some(own), ..ServerOptions::default() });
    let server = server.expect("PostgreSQL is installed");
    let plain = server.url(&server.create().expect("a database is made"));

    let secure = format!("{plain}?sslmode=require&sslrootcert={trusted}");
    postgres_schema::migrate(&secure).await.expect("it is migrated over TLS");
    let (api, worker) = (open(&secure).await.expect("it is opened"), open(&secure).await.expect("it is opened"));
    ensure_woken(&api, &worker).await;

    let problem = wrong(&format!("{plain}?sslmode=require&sslrootcert={other}")).await;
    assert!(matches!(problem, Problem::Insecure(_)), "{problem:?}");
    let named = secure.replace("127.0.0.1", "localhost");
    let problem = wrong(&named).await;
    assert!(matches!(problem, Problem::Insecure(_)), "the certificate is not for that name: {problem:?}");
    let problem = wrong(&plain).await;
    assert!(matches!(problem, Problem::Unwelcome(_)), "the server takes nobody without TLS: {problem:?}");
    let problem = wrong(&format!("{plain}?sslmode=require&sslrootcert=/nowhere.pem")).await;
    assert!(matches!(problem, Problem::Address(_)), "{problem:?}");
    let database = PostgresDatabase::new();
    let problem = wrong(&format!("{}?sslmode=require&sslrootcert={trusted}", database.url())).await;
    assert_eq!(problem, Problem::Plain);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_wrong_is_said_in_one_line() {
    let database = PostgresDatabase::new();
    let url = database.url();
    let at = |name: &str| format!("{}/{name}", url.rsplit_once('/').expect("a URL").0);

    let problem = wrong("postgres://ada:s3cret@127.0.0.1:1/pinrail").await;
    assert!(matches!(problem, Problem::Unreachable(_)), "{problem:?}");
    let problem = wrong("postgres://ada:s3cret@127.0.0.1/pinrail?sslmode=perhaps").await;
    assert!(matches!(problem, Problem::Address(_)), "{problem:?}");
    assert_eq!(wrong(&at("nowhere")).await, Problem::NoSuchDatabase);
    let problem = wrong(&url.replace("pinrail@", "stranger:s3cret@")).await;
    assert!(matches!(problem, Problem::Unwelcome(_)), "{problem:?}");

    let other = PostgresDatabase::new();
    other.sql("DROP SCHEMA public CASCADE; CREATE SCHEMA public; CREATE TABLE invoices (n INT)");
    assert_eq!(wrong(&other.url()).await, Problem::Foreign);
    let refused = postgres_schema::migrate(&other.url()).await.expect_err("it is another program's");
    assert_eq!(refused.problem, Problem::Foreign);

    let standby = PostgresDatabase::new();
    standby.sql(&format!("ALTER DATABASE {} SET default_transaction_read_only = on", standby.name()));
    assert_eq!(wrong(&standby.url()).await, Problem::ReadOnly);
    let refused = postgres_schema::migrate(&standby.url()).await.expect_err("nothing can be written");
    assert_eq!(refused.problem, Problem::ReadOnly);

    let bytes = format!("{}_bytes", other.name());
    other.sql(&format!("CREATE DATABASE {bytes} ENCODING SQL_ASCII LOCALE 'C' TEMPLATE template0"));
    let refused = postgres_schema::migrate(&at(&bytes)).await.expect_err("it keeps no characters");
    assert_eq!(refused.problem, Problem::Encoding("SQL_ASCII".to_owned()));

    let empty = PostgresDatabase::empty();
    assert!(matches!(wrong(&empty.url()).await, Problem::Pending(_)));
}

#[tokio::test(flavor = "multi_thread")]
async fn of_several_servers_the_one_that_takes_writes_is_used() {
    let [standby, primary] = ["on", "off"].map(|is_standby| {
        let settings = vec![format!("default_transaction_read_only={is_standby}")];
        Server::start(&ServerOptions { settings, ..ServerOptions::default() }).expect("PostgreSQL is installed")
    });
    postgres_schema::migrate(&primary.url("postgres")).await.expect("it is migrated");
    let hosts = format!("127.0.0.1:1,127.0.0.1:{},127.0.0.1:{}", standby.port(), primary.port());
    let url = format!("postgres://pinrail@{hosts}/postgres");
    let storage = open(&format!("{url}?target_session_attrs=read-write")).await.expect("the last one is opened");
    storage.ready().await.expect("it is written");
    assert_eq!(wrong(&url).await, Problem::ReadOnly, "without it the first that answers is used");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_without_room_says_so() {
    let settings = ["max_connections=6", "superuser_reserved_connections=1"].map(str::to_owned).to_vec();
    let server = Server::start(&ServerOptions { settings, ..ServerOptions::default() });
    let server = server.expect("PostgreSQL is installed");
    let name = server.create().expect("a database is made");
    server.sql(&name, "CREATE ROLE guest LOGIN SUPERUSER").expect("a role is made");
    let url = server.url(&name);
    postgres_schema::migrate(&url).await.expect("an empty database is migrated");
    server
        .sql(&name, "ALTER ROLE guest NOSUPERUSER; GRANT ALL ON ALL TABLES IN SCHEMA public TO guest")
        .expect("granted");
    let guest = url.replace("pinrail@", "guest@");
    let mut holding = Vec::new();
    let problem = loop {
        match open(&guest).await {
            Ok(storage) => {
                // Whoever is in has one connection in the pool from then on, if there still was one.
                if let Err(error) = storage.ready().await {
                    assert!(error.to_string().contains("connections"), "{error}");
                }
                holding.push(storage);
            }
            Err(error) => break error.problem,
        }
        assert!(holding.len() <= 5, "five connections are all that guests can have");
    };
    assert_eq!(problem, Problem::Crowded);
    drop(holding);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_schema_is_waited_for() {
    let empty = PostgresDatabase::empty();
    let (url, options) = (empty.url(), PostgresOptions { wait: Duration::from_mins(5), ..PostgresOptions::default() });
    let (opened, migrated) = tokio::join!(PostgresStorage::open(&url, &options), postgres_schema::migrate(&url));
    migrated.expect("it is migrated");
    opened.expect("it is opened").now().await.expect("it has a clock");
}

#[tokio::test(flavor = "multi_thread")]
async fn migrations_run_from_nothing_once() {
    let empty = PostgresDatabase::empty();
    let url = empty.url();
    let before = postgres_schema::schema_status(&url).await.expect("it is looked at");
    assert_eq!((before.applied.len(), before.newer.len()), (0, 0));
    // Of two at once one runs them, and the other finds nothing left.
    let (one, other) = tokio::join!(postgres_schema::migrate(&url), postgres_schema::migrate(&url));
    let mut run = [one.expect("it is migrated"), other.expect("it is migrated")];
    run.sort();
    assert_eq!(run, [Vec::new(), before.pending.clone()]);
    for migration in before.pending.iter().rev() {
        assert_eq!(postgres_schema::revert(&url).await.expect("it is reverted").as_ref(), Some(migration));
    }
    assert_eq!(postgres_schema::revert(&url).await.expect("nothing is left"), None);
    assert_eq!(
        empty.sql("SELECT count(*) FROM pg_tables WHERE schemaname = 'public'").trim(),
        "1",
        "Diesel's own list"
    );
    assert_eq!(postgres_schema::migrate(&url).await.expect("it is migrated again"), before.pending);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_newer_schema_is_used_unless_it_took_something_away() {
    let database = PostgresDatabase::new();
    // A later version adds a column that this one does not know.
    database.sql(
        "ALTER TABLE pin_requests ADD COLUMN colour TEXT NOT NULL DEFAULT 'red';
         INSERT INTO __diesel_schema_migrations (version) VALUES ('99991231000000')",
    );
    let storage = database.open().await;
    let (account, _) = settle_in(&storage, Limits::UNLIMITED).await;
    storage.add_pin_request(&request(account, 1), system_time()).await.expect("it is added");
    drop(storage);
    let newer = Problem::Newer(vec!["99991231000000".to_owned()]);
    // The programs that follow it one by one may each be told to migrate before they start.
    assert_eq!(postgres_schema::migrate(&database.url()).await.expect("nothing is lacking"), Vec::<String>::new());
    let refused = postgres_schema::revert(&database.url()).await.expect_err("it does not know what to undo");
    assert_eq!(refused.problem, newer);
    // Then one takes the old columns away, and says who may still use the schema.
    database.sql("UPDATE service SET needs = '99991231000000'");
    assert_eq!(wrong(&database.url()).await, newer);
    let refused = postgres_schema::migrate(&database.url()).await.expect_err("it is newer");
    assert_eq!(refused.problem, newer);
}

/// The columns that `schema.rs` declares: by table and column, the type and whether it may be NULL.
fn declared() -> BTreeMap<(String, String), (String, bool)> {
    let mut columns = BTreeMap::new();
    let mut table = String::new();
    let lines = include_str!("../../src/schema.rs").lines().map(str::trim);
    for line in lines.filter(|line| !line.starts_with("diesel::joinable!")) {
        if let Some((name, _)) = line.split_once(" (").filter(|_| line.ends_with('{')) {
            name.clone_into(&mut table);
        } else if let Some((column, kind)) = line.trim_end_matches(',').split_once(" -> ") {
            let inner = kind.strip_prefix("Nullable<").and_then(|kind| kind.strip_suffix('>'));
            columns.insert((table.clone(), column.to_owned()), (inner.unwrap_or(kind).to_owned(), inner.is_some()));
        }
    }
    columns
}

#[test]
fn the_schema_is_the_one_that_is_declared() {
    let database = PostgresDatabase::new();
    // What the server works out by itself is for its indices alone.
    let asked = "SELECT table_name, column_name, data_type, is_nullable FROM information_schema.columns
        WHERE table_schema = 'public' AND table_name <> '__diesel_schema_migrations' AND is_generated = 'NEVER'";
    let rows = database.sql(asked);
    let found: BTreeMap<_, _> = rows
        .lines()
        .map(|row| {
            let [table, column, kind, nullable] = row.split('|').collect::<Vec<_>>().try_into().expect("four columns");
            let kind = match kind {
                "bigint" => "BigInt",
                "smallint" => "SmallInt",
                "bytea" => "Binary",
                "text" => "Text",
                "boolean" => "Bool",
                other => other,
            };
            ((table.to_owned(), column.to_owned()), (kind.to_owned(), nullable == "YES"))
        })
        .collect();
    assert!(found.len() > 50, "{} columns", found.len());
    assert_eq!(found, declared());
}
