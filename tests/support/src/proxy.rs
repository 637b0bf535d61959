//! A TCP proxy in front of servers that take turns, which can be cut or stalled.

use std::net::SocketAddr;
use std::sync::Arc;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;

/// The proxy's behaviour.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Mood {
    /// Forwards data.
    Passing,
    /// Accepts data, and does nothing.
    Silent,
    /// Closes every connection at once.
    Cut,
}

pub struct Proxy {
    pub address: SocketAddr,
    mood: Arc<watch::Sender<Mood>>,
    servers: Arc<watch::Sender<Vec<String>>>,
}

impl Proxy {
    /// Without a server, connections are closed.
    pub async fn begin(servers: Vec<String>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let address = listener.local_addr().expect("an address");
        let mood = Arc::new(watch::Sender::new(Mood::Passing));
        let servers = Arc::new(watch::Sender::new(servers));
        let (moods, all) = (mood.clone(), servers.clone());
        tokio::spawn(async move {
            let mut turn = 0_usize;
            while let Ok((client, _)) = listener.accept().await {
                turn += 1;
                let server = {
                    let all = all.borrow();
                    all.get(turn % all.len().max(1)).cloned()
                };
                let (Some(server), moods) = (server, moods.clone()) else { continue };
                tokio::spawn(async move {
                    if *moods.borrow() == Mood::Cut {
                        return;
                    }
                    let Ok(server) = TcpStream::connect(server).await else { return };
                    let (from_client, to_client) = client.into_split();
                    let (from_server, to_server) = server.into_split();
                    tokio::select! {
                        () = pass(from_client, to_server, moods.subscribe()) => {}
                        () = pass(from_server, to_client, moods.subscribe()) => {}
                    }
                });
            }
        });
        Self { address, mood, servers }
    }

    /// Points new connections to other servers, one after the other.
    pub fn lead_to(&self, servers: Vec<String>) {
        self.servers.send_replace(servers);
    }

    pub fn set(&self, mood: Mood) {
        self.mood.send_replace(mood);
    }
}

async fn pass(mut from: OwnedReadHalf, mut to: OwnedWriteHalf, mut mood: watch::Receiver<Mood>) {
    let mut buffer = vec![0; 64 * 1024];
    loop {
        let length = tokio::select! {
            _ = mood.wait_for(|mood| *mood == Mood::Cut) => return,
            read = from.read(&mut buffer) => match read {
                Ok(0) | Err(_) => return,
                Ok(length) => length,
            },
        };
        let is_passing =
            mood.wait_for(|mood| *mood != Mood::Silent).await.is_ok_and(|mood| *mood == Mood::Passing);
        if !is_passing || to.write_all(&buffer[..length]).await.is_err() {
            return;
        }
    }
}
