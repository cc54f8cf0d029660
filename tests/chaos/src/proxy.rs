//! A connection that can be cut and slowed: a small proxy on loopback.

use std::io::{Read, Write};
use std::net::{Ipv4Addr, Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, AtomicU8, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::Duration;

use anyhow::Result;

/// How much goes through at once.
const CHUNK: usize = 16 << 10;
/// How long each chunk is held on a slow connection: some 300 KiB a second.
const DELAY: Duration = Duration::from_millis(50);

/// What becomes of what is sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Weather {
    Fair,
    /// Each chunk waits.
    Slow,
    /// Connections are closed, and new ones at once.
    Cut,
}

/// A proxy for one address; dropping it closes everything.
#[derive(Debug)]
pub struct Proxy {
    port: u16,
    line: Arc<Line>,
}

#[derive(Debug)]
struct Line {
    target: SocketAddr,
    weather: AtomicU8,
    closed: AtomicBool,
    /// Answers 503 that did not say when to try again.
    curt: AtomicU64,
    connections: Mutex<Vec<Connection>>,
}

#[derive(Debug)]
struct Connection {
    ends: [TcpStream; 2],
    /// Taken by the two threads that pump.
    alive: Arc<AtomicBool>,
}

impl Proxy {
    /// A proxy on a free port for a port of this machine.
    pub fn start(target: u16) -> Result<Self> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
        let port = listener.local_addr()?.port();
        let line = Arc::new(Line {
            target: (Ipv4Addr::LOCALHOST, target).into(),
            weather: AtomicU8::new(Weather::Fair as u8),
            closed: AtomicBool::new(false),
            curt: AtomicU64::new(0),
            connections: Mutex::default(),
        });
        let shared = Arc::clone(&line);
        thread::spawn(move || {
            for end in listener.incoming().flatten() {
                if shared.closed.load(Ordering::Relaxed) {
                    break;
                }
                shared.connect(end);
            }
        });
        Ok(Self { port, line })
    }

    pub fn port(&self) -> u16 {
        self.port
    }

    /// How many answers 503 went through that did not say when to try again.
    pub fn curt_answers(&self) -> u64 {
        self.line.curt.load(Ordering::Relaxed)
    }

    /// Change the weather, of connections that are open too.
    pub fn set(&self, weather: Weather) {
        self.line.weather.store(weather as u8, Ordering::Relaxed);
        if weather == Weather::Cut {
            self.line.cut();
        }
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.line.closed.store(true, Ordering::Relaxed);
        self.line.cut();
        // The listener waits for one more.
        drop(TcpStream::connect((Ipv4Addr::LOCALHOST, self.port)));
    }
}

impl Line {
    fn is(&self, weather: Weather) -> bool {
        self.weather.load(Ordering::Relaxed) == weather as u8
    }

    /// Join a new connection to the target. Whatever goes wrong is what a broken network does.
    fn connect(self: &Arc<Self>, here: TcpStream) {
        if self.is(Weather::Cut) {
            return;
        }
        let Ok(there) = TcpStream::connect_timeout(&self.target, Duration::from_secs(2)) else { return };
        let _ = (here.set_nodelay(true), there.set_nodelay(true));
        let clone = |end: &TcpStream| Some((end.try_clone().ok()?, end.try_clone().ok()?));
        let (Some((from, one)), Some((to, other))) = (clone(&here), clone(&there)) else { return };
        let alive = Arc::new(AtomicBool::new(true));
        let connection = Connection { ends: [one, other], alive: Arc::clone(&alive) };
        {
            let mut connections = self.connections.lock().unwrap_or_else(PoisonError::into_inner);
            connections.retain(|connection| connection.alive.load(Ordering::Relaxed));
            connections.push(connection);
        }
        self.pump(from, there, Arc::clone(&alive));
        self.pump(to, here, alive);
    }

    fn pump(self: &Arc<Self>, mut from: TcpStream, mut to: TcpStream, alive: Arc<AtomicBool>) {
        let line = Arc::clone(self);
        thread::spawn(move || {
            let mut chunk = vec![0; CHUNK];
            while let Ok(count @ 1..) = from.read(&mut chunk) {
                if is_curt(&chunk[..count]) {
                    line.curt.fetch_add(1, Ordering::Relaxed);
                }
                if line.is(Weather::Slow) {
                    thread::sleep(DELAY);
                }
                if line.is(Weather::Cut) || to.write_all(&chunk[..count]).is_err() {
                    break;
                }
            }
            let _ = to.shutdown(Shutdown::Both);
            let _ = from.shutdown(Shutdown::Both);
            alive.store(false, Ordering::Relaxed);
        });
    }

    fn cut(&self) {
        for connection in self.connections.lock().unwrap_or_else(PoisonError::into_inner).drain(..) {
            for end in connection.ends {
                let _ = end.shutdown(Shutdown::Both);
            }
        }
    }
}

/// Whether what came at once is the whole head of an answer 503 without `Retry-After`.
fn is_curt(chunk: &[u8]) -> bool {
    if !chunk.starts_with(b"HTTP/1.1 503") {
        return false;
    }
    let text = String::from_utf8_lossy(chunk).to_lowercase();
    text.split_once("\r\n\r\n").is_some_and(|(head, _)| !head.contains("\r\nretry-after: "))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A server that sends back what it gets.
    fn echo() -> u16 {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let port = listener.local_addr().unwrap().port();
        thread::spawn(move || {
            for mut end in listener.incoming().flatten() {
                thread::spawn(move || {
                    let mut reader = end.try_clone().unwrap();
                    let _ = std::io::copy(&mut reader, &mut end);
                });
            }
        });
        port
    }

    fn says_back(end: &mut TcpStream) -> bool {
        let mut back = [0; 4];
        end.write_all(b"word").is_ok() && end.read_exact(&mut back).is_ok() && back == *b"word"
    }

    #[test]
    fn what_is_cut_ends_and_comes_back() {
        let proxy = Proxy::start(echo()).unwrap();
        let connect = || TcpStream::connect((Ipv4Addr::LOCALHOST, proxy.port())).unwrap();
        let mut open = connect();
        assert!(says_back(&mut open));
        proxy.set(Weather::Cut);
        assert!(!says_back(&mut open));
        assert!(!says_back(&mut connect()));
        proxy.set(Weather::Slow);
        assert!(says_back(&mut connect()));
    }

    #[test]
    fn an_answer_503_has_to_say_when_to_try_again() {
        assert!(is_curt(b"HTTP/1.1 503 Service Unavailable\r\ncontent-length: 2\r\n\r\n{}"));
        assert!(!is_curt(b"HTTP/1.1 503 Service Unavailable\r\nRetry-After: 1\r\n\r\n{}"));
        assert!(!is_curt(b"HTTP/1.1 503 Service Unavailable\r\ncontent-le"));
        assert!(!is_curt(b"HTTP/1.1 200 OK\r\n\r\n{}"));
    }
}
