//! The one HTTP client of the tests: plain HTTP/1.1, each request on its own connection, as the admin.

use std::io::{self, BufRead as _, BufReader, Read as _, Write as _};
use std::net::TcpStream;
use std::time::Duration;

use crate::daemon::{ADMIN_PASSWORD, Daemon};

/// The longest time without data.
const PATIENCE: Duration = Duration::from_secs(30);

/// Sends a request and returns the whole response, head included.
///
/// # Panics
/// There is no response.
pub fn get(daemon: &Daemon, path: &str) -> String {
    let mut answer = String::new();
    let mut stream = send(&daemon.url, &format!("GET {path}"), "").expect("a connection");
    stream.read_to_string(&mut answer).expect("an answer");
    answer
}

/// The body of a path; none without a complete response with status 200.
pub fn read(url: &str, path: &str) -> Option<String> {
    let mut answer = String::new();
    send(url, &format!("GET {path}"), "").ok()?.read_to_string(&mut answer).ok()?;
    let (head, body) = answer.split_once("\r\n\r\n")?;
    head.starts_with("HTTP/1.1 200 ").then(|| body.to_owned())
}

/// The JSON that a path answers with.
///
/// # Panics
/// The response is not JSON with status 200.
pub fn json(daemon: &Daemon, path: &str) -> serde_json::Value {
    let (status, mut reader) = request(daemon, &format!("GET {path}"), "");
    let mut text = String::new();
    reader.read_to_string(&mut text).expect("a body");
    assert_eq!(status, 200, "{path}: {text}");
    serde_json::from_str(&text).expect("JSON")
}

/// Sends a request such as `POST /api/v1/pause`, and returns the status and a reader of the body.
///
/// # Panics
/// There is no response.
pub fn request(daemon: &Daemon, line: &str, body: &str) -> (u16, BufReader<TcpStream>) {
    let mut reader = BufReader::new(send(&daemon.url, line, body).expect("a connection"));
    let mut status = String::new();
    reader.read_line(&mut status).expect("a status line");
    let mut header = String::new();
    while reader.read_line(&mut header).expect("a header") > 2 {
        header.clear();
    }
    (status.split(' ').nth(1).and_then(|code| code.parse().ok()).expect("a status"), reader)
}

fn send(url: &str, line: &str, body: &str) -> io::Result<TcpStream> {
    let authority = url.trim_start_matches("http://");
    let mut stream = TcpStream::connect(authority)?;
    stream.set_read_timeout(Some(PATIENCE))?;
    let length = body.len();
    write!(
        stream,
        "{line} HTTP/1.1\r\nHost: {authority}\r\nAuthorization: Bearer {ADMIN_PASSWORD}\r\nConnection: close\r\n\
         Content-Type: application/json\r\nContent-Length: {length}\r\n\r\n{body}"
    )?;
    Ok(stream)
}

/// The sum of a metric over all its labels.
pub fn metric(page: &str, name: &str) -> Option<f64> {
    let values = page.lines().filter_map(|line| {
        let rest = line.strip_prefix(name)?;
        rest.starts_with([' ', '{']).then(|| line.rsplit_once(' ')?.1.parse::<f64>().ok())?
    });
    values.fold(None, |sum, value| Some(sum.unwrap_or(0.0) + value))
}
