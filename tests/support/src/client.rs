//! The one HTTP client of the tests: plain HTTP/1.1, one request on a connection of its own, as the admin.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::TcpStream;
use std::time::Duration;

use crate::daemon::{ADMIN_PASSWORD, Daemon};

/// How long the daemon may be silent.
const PATIENCE: Duration = Duration::from_secs(30);

/// Sends a request and returns the whole answer, head included.
///
/// # Panics
/// There is no answer.
pub fn get(daemon: &Daemon, path: &str) -> String {
    let mut answer = String::new();
    send(daemon, &format!("GET {path}"), "").read_to_string(&mut answer).expect("an answer");
    answer
}

/// Sends a request such as `POST /api/v1/pause`, and returns the status and the body to be read.
///
/// # Panics
/// There is no answer.
pub fn request(daemon: &Daemon, line: &str, body: &str) -> (u16, BufReader<TcpStream>) {
    let mut reader = BufReader::new(send(daemon, line, body));
    let mut status = String::new();
    reader.read_line(&mut status).expect("a status line");
    let mut header = String::new();
    while reader.read_line(&mut header).expect("a header") > 2 {
        header.clear();
    }
    (status.split(' ').nth(1).and_then(|code| code.parse().ok()).expect("a status"), reader)
}

fn send(daemon: &Daemon, line: &str, body: &str) -> TcpStream {
    let authority = daemon.url.trim_start_matches("http://");
    let mut stream = TcpStream::connect(authority).expect("it listens");
    stream.set_read_timeout(Some(PATIENCE)).expect("a socket");
    let length = body.len();
    write!(
        stream,
        "{line} HTTP/1.1\r\nHost: {authority}\r\nAuthorization: Bearer {ADMIN_PASSWORD}\r\nConnection: close\r\n\
         Content-Type: application/json\r\nContent-Length: {length}\r\n\r\n{body}"
    )
    .expect("sent");
    stream
}
