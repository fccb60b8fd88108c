//! A proxy that cuts the connection at a chosen message, counts them, and may change what the server says.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{TcpListener, TcpStream};
use tokio_util::sync::CancellationToken;

/// Time for the server to do what it was told before its answer is thrown away.
const SERVER_WORKS: Duration = Duration::from_millis(30);

/// The type of a message with data of COPY. The first message of a connection, which has no type, begins with a zero.
const COPY_DATA: u8 = b'd';

/// Where the next connection is cut; messages are counted from the moment this is set.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Cut {
    /// Before the message with this number reaches the server.
    BeforeRequest(usize),
    /// After it has reached the server, before any more answers come back.
    BeforeAnswer(usize),
}

/// A text of the server and what clients read in its place; both have the same length, so that messages stay whole.
pub(crate) type Rewrite = (String, String);

#[derive(Debug, Default)]
struct State {
    cut: Option<Cut>,
    messages: usize,
    /// Those of the messages that are data of COPY.
    copied: usize,
}

/// A running proxy.
#[derive(Debug)]
pub(crate) struct Proxy {
    address: SocketAddr,
    state: Arc<Mutex<State>>,
}

impl Proxy {
    /// In front of the server of `url`.
    pub(crate) async fn start(url: &str) -> Self {
        Self::rewriting(url, Vec::new()).await
    }

    /// Also puts other texts in the place of the server's.
    pub(crate) async fn rewriting(url: &str, rewrites: Vec<Rewrite>) -> Self {
        assert!(rewrites.iter().all(|(from, to)| from.len() == to.len()), "{rewrites:?}");
        let rewrites: Arc<[Rewrite]> = rewrites.into();
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let address = listener.local_addr().expect("a bound port");
        let state = Arc::new(Mutex::new(State::default()));
        let (shared, server) = (state.clone(), server_of(url).to_owned());
        tokio::spawn(async move {
            while let Ok((client, _)) = listener.accept().await {
                let server = TcpStream::connect(&server).await.expect("the server is there");
                // Small messages would wait for each other.
                for stream in [&client, &server] {
                    stream.set_nodelay(true).expect("an open connection");
                }
                tokio::spawn(pass(client, server, shared.clone(), rewrites.clone()));
            }
        });
        Self { address, state }
    }

    /// The same database by the way through the proxy.
    pub(crate) fn through(&self, url: &str) -> String {
        url.replace(server_of(url), &self.address.to_string())
    }

    /// Counts from now on and cuts once.
    pub(crate) fn cut_at(&self, cut: Cut) {
        *self.state.lock().expect("no panic") = State { cut: Some(cut), ..State::default() };
    }

    /// Counts from now on.
    pub(crate) fn count(&self) {
        *self.state.lock().expect("no panic") = State::default();
    }

    /// Messages of clients since the count began; and whether a cut still waits for its message.
    pub(crate) fn seen(&self) -> (usize, bool) {
        let state = self.state.lock().expect("no panic");
        (state.messages, state.cut.is_some())
    }

    /// Messages with data of COPY since the count began.
    pub(crate) fn copied(&self) -> usize {
        self.state.lock().expect("no panic").copied
    }
}

/// `host:port` of a URL.
fn server_of(url: &str) -> &str {
    let (_, address) = url.split_once('@').expect("a user");
    address.split('/').next().expect("an address")
}

async fn pass(client: TcpStream, server: TcpStream, state: Arc<Mutex<State>>, rewrites: Arc<[Rewrite]>) {
    let (client_read, client_write) = client.into_split();
    let (server_read, server_write) = server.into_split();
    let deaf = CancellationToken::new();
    tokio::select! {
        () = requests(client_read, server_write, state, deaf.clone()) => {}
        () = answers(server_read, client_write, deaf, &rewrites) => {}
    }
}

async fn answers(mut from: OwnedReadHalf, mut to: OwnedWriteHalf, deaf: CancellationToken, rewrites: &[Rewrite]) {
    let mut buffer = vec![0; 64 << 10];
    while let Ok(read) = from.read(&mut buffer).await {
        if read == 0 {
            return;
        }
        if deaf.is_cancelled() {
            // Read and thrown away, so that the server is not held up.
            continue;
        }
        for (theirs, ours) in rewrites {
            replace(&mut buffer[..read], theirs.as_bytes(), ours.as_bytes());
        }
        if to.write_all(&buffer[..read]).await.is_err() {
            return;
        }
    }
}

fn replace(bytes: &mut [u8], from: &[u8], to: &[u8]) {
    let mut at = 0;
    while at + from.len() <= bytes.len() {
        let here = &mut bytes[at..at + from.len()];
        if here == from {
            here.copy_from_slice(to);
        }
        at += 1;
    }
}

async fn requests(mut from: OwnedReadHalf, mut to: OwnedWriteHalf, state: Arc<Mutex<State>>, deaf: CancellationToken) {
    // The first message has no type.
    let mut head_len = 4;
    loop {
        let mut message = vec![0; head_len];
        if from.read_exact(&mut message).await.is_err() {
            return;
        }
        let length = u32::from_be_bytes(message[head_len - 4..].try_into().expect("four bytes")) as usize;
        let mut body = vec![0; length - 4];
        if from.read_exact(&mut body).await.is_err() {
            return;
        }
        message.extend(body);
        head_len = 5;
        let cut = {
            let mut state = state.lock().expect("no panic");
            let number = state.messages;
            state.messages += 1;
            state.copied += usize::from(message.first() == Some(&COPY_DATA));
            state.cut.take_if(|cut| matches!(cut, Cut::BeforeRequest(at) | Cut::BeforeAnswer(at) if *at == number))
        };
        match cut {
            Some(Cut::BeforeRequest(_)) => return,
            Some(Cut::BeforeAnswer(_)) => {
                deaf.cancel();
                let _ = to.write_all(&message).await;
                tokio::time::sleep(SERVER_WORKS).await;
                return;
            }
            None => {}
        }
        if to.write_all(&message).await.is_err() {
            return;
        }
    }
}
