//! One HTTP request on a connection of its own, and what became of it within a limit.

use std::io::{ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::{Duration, Instant};

use crate::answer::Answer;

const CONNECT_LIMIT: Duration = Duration::from_secs(5);

/// What became of a request.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Fate {
    Answered {
        status: u16,
        body: Vec<u8>,
    },
    /// Nobody took the connection: the request never left.
    Unreached,
    /// The connection ended, or something came that is no answer.
    Broken,
    /// Nothing came within the limit.
    Silent,
}

/// Posts `body` and waits for the answer, no longer than `limit` in all.
pub fn post(
    address: SocketAddr,
    path: &str,
    headers: &[(&str, &str)],
    body: &[u8],
    limit: Duration,
) -> Fate {
    let deadline = Instant::now() + limit;
    let Ok(mut stream) = TcpStream::connect_timeout(&address, CONNECT_LIMIT.min(limit)) else {
        return Fate::Unreached;
    };
    let mut request = format!(
        "POST {path} HTTP/1.1\r\nhost: {address}\r\nconnection: close\r\ncontent-length: {}\r\n",
        body.len()
    );
    for (name, value) in headers {
        request.extend([name, ": ", value, "\r\n"]);
    }
    request.push_str("\r\n");
    let request = [request.as_bytes(), body].concat();
    let sent = stream
        .set_nodelay(true)
        .and_then(|()| stream.set_write_timeout(Some(limit)))
        .and_then(|()| stream.write_all(&request));
    if sent.is_err() {
        return Fate::Broken;
    }
    let mut answer = Vec::new();
    let mut part = [0; 4096];
    loop {
        let left = deadline.saturating_duration_since(Instant::now());
        if left.is_zero() {
            return Fate::Silent;
        }
        if stream.set_read_timeout(Some(left)).is_err() {
            return Fate::Broken;
        }
        match stream.read(&mut part) {
            Ok(0) => return Fate::Broken,
            Ok(bytes) => answer.extend_from_slice(&part[..bytes]),
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) => {
                return Fate::Silent;
            }
            Err(_) => return Fate::Broken,
        }
        match Answer::read(&answer) {
            Ok(Some(Answer { status, body })) => {
                let body = body.to_vec();
                return Fate::Answered { status, body };
            }
            Ok(None) => {}
            Err(_) => return Fate::Broken,
        }
    }
}
