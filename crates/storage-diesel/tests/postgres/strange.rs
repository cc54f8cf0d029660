//! Servers that are no PostgreSQL, or none at the moment: whoever starts is not held up by them for ever, and not sent
//! away while it may pass.

use std::io::{Read, Write};
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::time::Duration;

use pinrail_storage_diesel::{PostgresError, PostgresOptions, PostgresStorage, Problem, postgres_schema};

/// Something that accepts connections and does this with each; its URL.
fn listen(answer: fn(TcpStream)) -> String {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a port is free");
    let port = listener.local_addr().expect("it has a port").port();
    std::thread::spawn(move || listener.incoming().map_while(Result::ok).for_each(answer));
    format!("postgres://ada:s3cret@127.0.0.1:{port}/pinrail")
}

async fn open(url: &str, wait: Duration) -> Result<(), PostgresError> {
    PostgresStorage::open(url, &PostgresOptions { wait, ..PostgresOptions::default() }).await.map(drop)
}

/// Check that nobody answered, and that this is said in one line.
fn is_silence<T: std::fmt::Debug>(outcome: Result<T, PostgresError>) {
    let error = outcome.expect_err("nobody answers");
    let line = error.to_string();
    assert!(matches!(error.problem, Problem::Unreachable(_)), "{error:?}");
    assert!(line.contains("nothing was said") && line.lines().count() == 1 && !line.contains("s3cret"), "{line}");
}

#[tokio::test(flavor = "multi_thread")]
async fn who_accepts_and_says_nothing_is_not_waited_for_for_ever() {
    let url = listen(std::mem::forget);
    let asked = async {
        tokio::join!(
            open(&url, Duration::ZERO),
            open(&url, Duration::from_secs(12)),
            postgres_schema::schema_status(&url),
            postgres_schema::migrate(&url),
        )
    };
    // The second waits for as long as it was told to, and no longer.
    let answers = tokio::time::timeout(Duration::from_secs(20), asked).await.expect("they end");
    is_silence(answers.0);
    is_silence(answers.1);
    is_silence(answers.2);
    is_silence(answers.3);
}

/// Let somebody connect as far as their first words, then refuse with an error of this code, as a server does that stops.
fn refuse(mut stream: TcpStream, code: &str) {
    let mut words = [0; 1_024];
    let _ = stream.read(&mut words).expect("they speak first");
    let fields = format!("SFATAL\0VFATAL\0C{code}\0Mgoing away\0\0");
    let length = u32::try_from(fields.len() + 4).expect("it is short");
    stream.write_all(&[b"E", &length.to_be_bytes()[..], fields.as_bytes()].concat()).expect("they listen");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_stops_or_starts_may_be_back_soon() {
    let urls = [
        listen(|stream| refuse(stream, "57P01")),
        listen(|stream| refuse(stream, "57P02")),
        listen(|stream| refuse(stream, "57P03")),
        listen(|stream| refuse(stream, "08006")),
    ];
    for url in &urls {
        let error = open(url, Duration::ZERO).await.expect_err("it is going");
        assert_eq!(error.problem, Problem::Unreachable("going away".to_owned()), "{url}");
    }
}
