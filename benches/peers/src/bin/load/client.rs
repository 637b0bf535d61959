//! Logplex's side of the wire, as cheap as possible: prebuilt requests on keep-alive connections, one in
//! flight on each, every one with its own frame id.

use std::io::{IoSlice, Write as _};
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use anyhow::{Context as _, bail};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::task::JoinSet;
use tokio::time::Instant;

/// `drain:drain-secret`.
const BASIC: &str = "ZHJhaW46ZHJhaW4tc2VjcmV0";
pub const DRAIN_PASSWORD: &str = "drain-secret";

/// The token of an app's drain.
pub fn drain_token(app: &str) -> String {
    let number = app.bytes().fold(0_u64, |sum, octet| (sum * 257 + u64::from(octet)) % (1 << 48));
    format!("d.68bc07b8-b306-4fa6-985f-{number:012x}")
}

/// The bodies to send in turn, and their numbers of frames.
pub struct Batches {
    pub bodies: Vec<Vec<u8>>,
    pub frames: usize,
}

#[derive(Clone)]
pub struct Load {
    pub address: SocketAddr,
    pub app: String,
    pub batches: Arc<Batches>,
    pub connections: usize,
    /// Requests per second over all connections; unlimited if none.
    pub pace: Option<u32>,
    /// Sent before the measurement.
    pub warm_up: Duration,
    pub counted: Duration,
}

pub struct Tally {
    /// From the first byte of a request to the last of its response, in nanoseconds, unordered.
    pub latencies: Vec<u32>,
    pub span: Duration,
}

impl Tally {
    pub fn per_second(&self) -> f64 {
        self.latencies.len() as f64 / self.span.as_secs_f64()
    }
}

/// Sends the load; calls `mark` at the start and the end of the measured span.
pub async fn run(load: &Load, mut mark: impl FnMut()) -> anyhow::Result<Tally> {
    let began = Instant::now();
    let (from, until) = (began + load.warm_up, began + load.warm_up + load.counted);
    let mut connections = JoinSet::new();
    for number in 0..load.connections {
        let load = load.clone();
        connections.spawn(async move { drive(&load, number, (began, from, until)).await });
    }
    tokio::time::sleep_until(from).await;
    mark();
    tokio::time::sleep_until(until).await;
    mark();
    let mut latencies = Vec::new();
    while let Some(driven) = connections.join_next().await {
        latencies.append(&mut driven??);
    }
    Ok(Tally { latencies, span: load.counted })
}

async fn drive(
    load: &Load,
    number: usize,
    (began, from, until): (Instant, Instant, Instant),
) -> anyhow::Result<Vec<u32>> {
    let mut sender = Sender::connect(load.address, &load.app).await?;
    let step = load.pace.map(|pace| Duration::from_secs(load.connections as u64) / pace);
    let mut due = began + step.unwrap_or_default() * number as u32 / load.connections as u32;
    let mut latencies = Vec::with_capacity(100_000);
    let bodies = &load.batches.bodies;
    for body in (0..bodies.len()).cycle().skip(number * bodies.len() / load.connections) {
        let mut sent = Instant::now();
        if let Some(step) = step {
            if sent < due {
                tokio::time::sleep_until(due).await;
                sent = Instant::now();
            } else {
                // The previous response was late: the wait for it counts as part of its time.
                sent = due;
            }
            due += step;
        }
        if sent >= until {
            break;
        }
        sender.post(&bodies[body], load.batches.frames).await?;
        let answered = Instant::now();
        if (from..until).contains(&answered) {
            latencies.push(u32::try_from((answered - sent).as_nanos()).unwrap_or(u32::MAX));
        }
    }
    Ok(latencies)
}

pub struct Sender {
    stream: TcpStream,
    address: SocketAddr,
    app: String,
    token: String,
    head: Vec<u8>,
}

/// Frame ids are never used twice by one process.
static NEXT_FRAME: AtomicU64 = AtomicU64::new(1);

impl Sender {
    pub async fn connect(address: SocketAddr, app: &str) -> anyhow::Result<Self> {
        let stream = TcpStream::connect(address).await.context("no connection")?;
        stream.set_nodelay(true)?;
        Ok(Self { stream, address, app: app.to_owned(), token: drain_token(app), head: Vec::new() })
    }

    /// Sends one batch and waits for its 204.
    pub async fn post(&mut self, body: &[u8], frames: usize) -> anyhow::Result<()> {
        let frame = NEXT_FRAME.fetch_add(1, Ordering::Relaxed);
        self.head.clear();
        write!(
            self.head,
            "POST /logs/{app} HTTP/1.1\r\nHost: {host}\r\nAuthorization: Basic {BASIC}\r\n\
             Content-Type: application/logplex-1\r\nLogplex-Msg-Count: {frames}\r\n\
             Logplex-Frame-Id: 5f0c1d2e-7a3b-4c4d-9e5f-{frame:012x}\r\n\
             Logplex-Drain-Token: {token}\r\n\
             User-Agent: Logplex/v72\r\nContent-Length: {length}\r\n\r\n",
            app = self.app,
            host = self.address,
            token = self.token,
            length = body.len(),
        )?;
        let mut pieces = [IoSlice::new(&self.head), IoSlice::new(body)];
        let mut left = &mut pieces[..];
        while !left.is_empty() {
            let written = self.stream.write_vectored(left).await?;
            IoSlice::advance_slices(&mut left, written);
        }
        self.answer().await
    }

    /// A 204 has no body, and nothing else is in flight: the head is all that comes.
    async fn answer(&mut self) -> anyhow::Result<()> {
        let mut buffer = [0; 1024];
        let mut filled = 0;
        while !buffer[..filled].ends_with(b"\r\n\r\n") {
            let read = self.stream.read(&mut buffer[filled..]).await?;
            if read == 0 {
                bail!("the server hung up after {:?}", String::from_utf8_lossy(&buffer[..filled]));
            }
            filled += read;
        }
        if !buffer.starts_with(b"HTTP/1.1 204 ") {
            bail!("answered {:?}", String::from_utf8_lossy(&buffer[..filled]));
        }
        Ok(())
    }
}
