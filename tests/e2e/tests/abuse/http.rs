//! Requests as an attacker writes them: from an address of its choice, and HTTP/2 with a window that stays closed.

use std::io::{self, ErrorKind, Read, Write};
use std::net::{Ipv4Addr, TcpStream};
use std::time::Duration;

use super::sockets::connect_from;

/// What begins every connection of HTTP/2.
pub const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
/// How long an attacker waits for an answer.
const PATIENCE: Duration = Duration::from_mins(1);

/// Send one request over HTTP/1.1 and read the whole answer; its status.
pub fn get(from: Ipv4Addr, port: u16, path: &str, token: &str) -> io::Result<u16> {
    let mut socket = connect_from(from, port)?;
    socket.set_read_timeout(Some(PATIENCE))?;
    write!(
        socket,
        "GET {path} HTTP/1.1\r\nhost: pinrail\r\nauthorization: Bearer {token}\r\nconnection: close\r\n\r\n"
    )?;
    let mut answer = Vec::new();
    socket.read_to_end(&mut answer)?;
    let status =
        answer.get(9..12).and_then(|digits| std::str::from_utf8(digits).ok()).and_then(|text| text.parse().ok());
    status.ok_or_else(|| ErrorKind::InvalidData.into())
}

/// Open a connection of HTTP/2 whose streams may carry nothing to us.
pub fn open_closed_window(from: Ipv4Addr, port: u16) -> io::Result<TcpStream> {
    let mut socket = connect_from(from, port)?;
    socket.write_all(PREFACE)?;
    // SETTINGS_INITIAL_WINDOW_SIZE of 0.
    socket.write_all(&frame(0x4, 0, 0, &[0, 4, 0, 0, 0, 0]))?;
    // And the acknowledgement of the server's settings.
    socket.write_all(&frame(0x4, 0x1, 0, &[]))?;
    Ok(socket)
}

/// Answer every PING, so that an idle connection looks alive.
pub fn answer_pings(socket: &mut TcpStream, said: &[u8]) -> io::Result<()> {
    let header = frame(0x6, 0, 0, &[0; 8]);
    for ping in said.windows(header.len()).filter(|window| window[..9] == header[..9]) {
        socket.write_all(&frame(0x6, 0x1, 0, &ping[9..]))?;
    }
    Ok(())
}

/// A GET on the stream with this odd number.
pub fn request(stream: u32, path: &str, token: &str) -> Vec<u8> {
    // `:method: GET` and `:scheme: http` by their numbers in the static table, `:authority`, `:path` and
    // `authorization` with their values.
    let mut block = vec![0x82, 0x86];
    for (name, value) in [(&[0x01][..], "pinrail"), (&[0x04], path), (&[0x0f, 0x08], &format!("Bearer {token}"))] {
        block.extend(name);
        block.extend(length(value.len()));
        block.extend(value.as_bytes());
    }
    // END_STREAM and END_HEADERS.
    frame(0x1, 0x5, stream, &block)
}

/// The end of a stream that nobody wants any more.
pub fn reset(stream: u32) -> Vec<u8> {
    // With the reason CANCEL.
    frame(0x3, 0, stream, &[0, 0, 0, 8])
}

/// A number with a prefix of seven bits, as HPACK writes lengths.
fn length(length: usize) -> Vec<u8> {
    if length < 127 {
        return vec![u8::try_from(length).unwrap_or_default()];
    }
    let mut bytes = vec![127];
    let mut rest = length - 127;
    while rest >= 128 {
        bytes.push(u8::try_from(rest % 128).unwrap_or_default() | 128);
        rest /= 128;
    }
    bytes.push(u8::try_from(rest).unwrap_or_default());
    bytes
}

fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let length = u32::try_from(payload.len()).unwrap_or(u32::MAX);
    let mut frame = length.to_be_bytes()[1..].to_vec();
    frame.extend([kind, flags]);
    frame.extend(stream.to_be_bytes());
    frame.extend(payload);
    frame
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lengths_are_written_as_hpack_does() {
        assert_eq!(length(10), [10]);
        // RFC 7541, C.1.2 with a prefix of seven bits.
        assert_eq!(length(1337), [127, 186, 9]);
    }

    #[test]
    fn a_frame_has_its_length_and_stream_before_it() {
        assert_eq!(frame(0x4, 0, 3, &[1, 2]), [0, 0, 2, 4, 0, 0, 0, 0, 3, 1, 2]);
    }
}
