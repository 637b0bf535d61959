//! Measures whether the response times of rejected requests reveal anything:
//!
//! ```sh
//! cargo run --release --example door_timing -- http://127.0.0.1:8080 acme 40000
//! ```
//!
//! The daemon must trust this machine (`DYNOWARDEN_TRUSTED_PROXIES=127.0.0.1`): the requests then come from
//! thousands of addresses, and none is delayed. The kinds alternate in a changing order on one connection.
//! Next to their medians is the greatest difference between two halves of one kind: smaller differences are
//! noise.

#![expect(clippy::disallowed_methods, reason = "it measures")]

use std::error::Error;
use std::io::{BufRead, BufReader, Write};
use std::net::TcpStream;
use std::time::{Duration, Instant};

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;

/// The wrong part, whether the app is watched, and the user; all texts have the same length.
const KINDS: [(&str, bool, &str); 4] = [
    ("wrong password", true, "drain"),
    ("wrong password again", true, "drain"),
    ("wrong app as well", false, "drain"),
    ("other user as well", true, "admin"),
];

/// Fewer than the addresses that the daemon counts for, and so many that each sends few wrong passwords.
const ADDRESSES: u32 = 8000;

fn main() -> Result<(), Box<dyn Error>> {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let [url, app, rounds] = &args[..] else { return Err("usage: door_timing URL APP ROUNDS".into()) };
    let authority = url.trim_start_matches("http://").trim_end_matches('/');
    let rounds: u32 = rounds.parse()?;
    let mut stream = BufReader::new(TcpStream::connect(authority)?);
    stream.get_ref().set_nodelay(true)?;
    let mut times = KINDS.map(|_| Vec::new());
    for round in 0..rounds {
        for place in 0..KINDS.len() {
            // No kind always follows the same other one.
            let kind = (place * [1, 3][(round / 4 % 2) as usize] + round as usize) % KINDS.len();
            let number = round * 4 + u32::try_from(place)?;
            times[kind].push(ask(&mut stream, app, KINDS[kind], number)?);
        }
    }
    let mut noise = Duration::ZERO;
    for ((name, ..), times) in KINDS.iter().zip(&mut times) {
        let (first, second) = times.split_at(times.len() / 2);
        noise = noise.max(median(first.to_vec()).abs_diff(median(second.to_vec())));
        println!("{name:<22} {:>9.3} µs", micros(median(times.clone())));
    }
    println!("{:<22} {:>9.3} µs", "noise", micros(noise));
    Ok(())
}

fn ask(
    stream: &mut BufReader<TcpStream>,
    app: &str,
    (_, is_watched, user): (&str, bool, &str),
    number: u32,
) -> Result<Duration, Box<dyn Error>> {
    let app = if is_watched { app.to_owned() } else { "x".repeat(app.len()) };
    let password = BASE64_STANDARD.encode(format!("{user}:wrong-{number:010}"));
    let [_, b, c, d] = (number % ADDRESSES).to_be_bytes();
    let request = format!(
        "POST /logs/{app} HTTP/1.1\r\nHost: x\r\nAuthorization: Basic {password}\r\n\
         X-Forwarded-For: 100.{b}.{c}.{d}\r\nContent-Length: 0\r\n\r\n"
    );
    let began = Instant::now();
    stream.get_mut().write_all(request.as_bytes())?;
    let mut line = String::new();
    stream.read_line(&mut line)?;
    let took = began.elapsed();
    if !line.starts_with("HTTP/1.1 401 ") {
        return Err(format!("not a refusal: {line:?}").into());
    }
    let mut length = 0;
    while line.len() > 2 {
        line.clear();
        stream.read_line(&mut line)?;
        if let Some(value) = line.to_lowercase().strip_prefix("content-length: ") {
            length = value.trim().parse()?;
        }
    }
    std::io::Read::read_exact(stream, &mut vec![0; length])?;
    Ok(took)
}

fn median(mut times: Vec<Duration>) -> Duration {
    times.sort();
    times.get(times.len() / 2).copied().unwrap_or_default()
}

fn micros(time: Duration) -> f64 {
    time.as_secs_f64() * 1e6
}
