//! Sockets from an address of one's choice, held open in any number.

use std::io::{self, ErrorKind, Read};
use std::net::{Ipv4Addr, SocketAddrV4, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use pinrail_testbed::stopwatch::Stopwatch;
use rustix::net::sockopt::{Timeout, set_socket_timeout};
use rustix::net::{AddressFamily, SocketFlags, SocketType, bind, connect, ipproto, socket_with};

/// Where attackers come from.
pub const ATTACKER: Ipv4Addr = Ipv4Addr::new(127, 66, 0, 1);
/// How long a connection may take to be made.
const CONNECTING: Duration = Duration::from_secs(1);
/// How long it may take until all of them were opened or refused once.
const OPENING: Duration = Duration::from_secs(10);
/// How often sockets that were closed are replaced.
const BEAT: Duration = Duration::from_millis(200);

/// Connect to a port of 127.0.0.1.
pub fn connect_from(from: Ipv4Addr, port: u16) -> io::Result<TcpStream> {
    let socket = socket_with(AddressFamily::INET, SocketType::STREAM, SocketFlags::CLOEXEC, Some(ipproto::TCP))?;
    // A listener whose queue is full answers no handshake: that, too, is an end.
    set_socket_timeout(&socket, Timeout::Send, Some(CONNECTING))?;
    bind(&socket, &SocketAddrV4::new(from, 0))?;
    connect(&socket, &SocketAddrV4::new(Ipv4Addr::LOCALHOST, port))?;
    set_socket_timeout(&socket, Timeout::Send, None)?;
    Ok(TcpStream::from(socket))
}

/// A number of sockets that are held open; one that is closed is opened again.
pub struct Held {
    stopping: Arc<AtomicBool>,
    opened: Arc<AtomicUsize>,
    thread: Option<JoinHandle<()>>,
}

impl Held {
    /// Hold `count` sockets that `open` opens, and have `answer` say something to what each is told.
    pub fn start(
        count: usize,
        open: impl Fn() -> io::Result<TcpStream> + Send + 'static,
        answer: impl Fn(&mut TcpStream, &[u8]) -> io::Result<()> + Send + 'static,
    ) -> Self {
        let (stopping, opened) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicUsize::new(0)));
        let thread = {
            let (stopping, opened) = (stopping.clone(), opened.clone());
            thread::spawn(move || {
                let mut sockets: Vec<TcpStream> = Vec::new();
                while !stopping.load(Ordering::Relaxed) {
                    sockets.retain_mut(|socket| is_open(socket, &answer));
                    while sockets.len() < count && !stopping.load(Ordering::Relaxed) {
                        let Ok(socket) = open() else { break };
                        opened.fetch_add(1, Ordering::Relaxed);
                        sockets.push(socket);
                    }
                    thread::sleep(BEAT);
                }
            })
        };
        Self { stopping, opened, thread: Some(thread) }
    }

    /// Wait until so many were opened, or no more can be.
    pub fn wait_opened(&self, count: usize) {
        let watch = Stopwatch::start();
        while self.opened() < count && !watch.passed(OPENING) {
            thread::sleep(BEAT);
        }
    }

    /// How many were opened so far, again and again.
    pub fn opened(&self) -> usize {
        self.opened.load(Ordering::Relaxed)
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        self.stopping.store(true, Ordering::Relaxed);
        if let Some(thread) = self.thread.take() {
            // A thread that panicked has said so.
            let _ = thread.join();
        }
    }
}

/// Whether the other side has it open still; what it said is answered.
fn is_open(socket: &mut TcpStream, answer: impl Fn(&mut TcpStream, &[u8]) -> io::Result<()>) -> bool {
    let mut said = [0; 4096];
    let read = socket.set_nonblocking(true).and_then(|()| socket.read(&mut said));
    let open = match read {
        Ok(read) => read > 0 && answer(socket, &said[..read]).is_ok(),
        Err(error) => error.kind() == ErrorKind::WouldBlock,
    };
    open && socket.set_nonblocking(false).is_ok()
}
