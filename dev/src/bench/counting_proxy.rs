//! A proxy before Postgres that counts what it passes on, and can put the server at a distance.

use std::net::SocketAddr;
use std::ops::Sub;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use sqlx::postgres::PgConnectOptions;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

/// What went over the wire since the proxy started.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    pub connections: u64,
    /// How often the client spoke and waited for the server, from the end of the log-in on.
    pub round_trips: u64,
    /// Transactions that ended: begun by a statement, or implied by one outside of any.
    pub transactions: u64,
}

impl Sub for Counts {
    type Output = Self;

    fn sub(self, before: Self) -> Self {
        Self {
            connections: self.connections - before.connections,
            round_trips: self.round_trips - before.round_trips,
            transactions: self.transactions - before.transactions,
        }
    }
}

/// A proxy on a port of its own. It doesn't speak TLS.
pub struct CountingProxy {
    address: SocketAddr,
    user: String,
    counts: Arc<Mutex<Counts>>,
}

impl CountingProxy {
    /// Starts one before the server of this URL, which each request then takes so much longer to reach.
    ///
    /// # Errors
    /// When the URL is none, or no port is free.
    pub async fn start(postgres_url: &str, distance: Duration) -> anyhow::Result<Self> {
        let postgres: PgConnectOptions = postgres_url.parse()?;
        let (user, host, port) =
            (postgres.get_username().to_owned(), postgres.get_host().to_owned(), postgres.get_port());
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let address = listener.local_addr()?;
        let counts = Arc::new(Mutex::new(Counts::default()));
        let counted = Arc::clone(&counts);
        tokio::spawn(async move {
            while let Ok((client, _)) = listener.accept().await {
                let (host, counts) = (host.clone(), Arc::clone(&counted));
                count(&counts, |counts| counts.connections += 1);
                // An error closes both ends, which is what either end would see without a proxy.
                tokio::spawn(
                    async move { relay(client, TcpStream::connect((host, port)).await?, &counts, distance).await },
                );
            }
        });
        Ok(Self { address, user, counts })
    }

    /// The URL of one of the server's databases through this proxy.
    #[must_use]
    pub fn url(&self, database: &str) -> String {
        format!("postgresql://{}@{}/{database}?sslmode=disable", self.user, self.address)
    }

    /// Everything so far. What a client has got an answer to is in it.
    #[must_use]
    pub fn counts(&self) -> Counts {
        *self.counts.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn count(counts: &Mutex<Counts>, add: impl FnOnce(&mut Counts)) {
    add(&mut counts.lock().unwrap_or_else(PoisonError::into_inner));
}

async fn relay(
    mut client: TcpStream,
    mut server: TcpStream,
    counts: &Mutex<Counts>,
    distance: Duration,
) -> std::io::Result<()> {
    client.set_nodelay(true)?;
    server.set_nodelay(true)?;
    let (mut asked, mut answered) = (vec![0; 16 * 1024], vec![0; 16 * 1024]);
    let mut messages = BackendMessages::default();
    let (mut logged_in, mut waiting) = (false, false);
    loop {
        tokio::select! {
            length = client.read(&mut asked) => {
                let length = length?;
                // The Terminate message, which has no answer, arrives with the end of the stream or before it.
                if length == 0 {
                    return server.shutdown().await;
                }
                if logged_in && !waiting && asked[0] != TERMINATE {
                    count(counts, |counts| counts.round_trips += 1);
                }
                waiting = true;
                tokio::time::sleep(distance).await;
                server.write_all(&asked[..length]).await?;
            }
            length = server.read(&mut answered) => {
                let length = length?;
                if length == 0 {
                    return client.shutdown().await;
                }
                waiting = false;
                for status in messages.ready_for_query(&answered[..length]) {
                    if status == IDLE && logged_in {
                        count(counts, |counts| counts.transactions += 1);
                    }
                    logged_in = true;
                }
                client.write_all(&answered[..length]).await?;
            }
        }
    }
}

/// The type of the Terminate message.
const TERMINATE: u8 = b'X';
/// The type of the ReadyForQuery message.
const READY_FOR_QUERY: u8 = b'Z';
/// Its status when no transaction is open.
const IDLE: u8 = b'I';

/// Where in the server's stream of messages we are: a type, the length (that counts itself) in four bytes, and the rest
/// (PostgreSQL documentation, "Message Formats").
#[derive(Default)]
struct BackendMessages {
    head: Vec<u8>,
    rest: u32,
}

impl BackendMessages {
    /// The transaction status of every ReadyForQuery in the next piece of the stream.
    fn ready_for_query(&mut self, piece: &[u8]) -> Vec<u8> {
        let mut statuses = Vec::new();
        for &byte in piece {
            if self.rest > 0 {
                self.rest -= 1;
                if self.head[0] == READY_FOR_QUERY {
                    statuses.push(byte);
                }
            } else {
                self.head.push(byte);
                if let [_, length @ ..] = self.head.as_slice()
                    && let Ok(length) = length.try_into()
                {
                    self.rest = u32::from_be_bytes(length).saturating_sub(4);
                }
            }
            if self.rest == 0 && self.head.len() == 5 {
                self.head.clear();
            }
        }
        statuses
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn finds_the_hand_over_however_the_stream_is_cut() {
        // ParseComplete, ReadyForQuery in a transaction, CommandComplete with a Z in it, ReadyForQuery idle.
        let stream = b"1\0\0\0\x04Z\0\0\0\x05TC\0\0\0\x06Z\0Z\0\0\0\x05I";
        for size in 1..=stream.len() {
            let mut messages = BackendMessages::default();
            let statuses: Vec<_> = stream.chunks(size).flat_map(|piece| messages.ready_for_query(piece)).collect();
            assert_eq!(statuses, b"TI", "in pieces of {size}");
        }
    }
}
