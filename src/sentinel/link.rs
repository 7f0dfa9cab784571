//! One socket to a node: connects, writes requests, and tells what comes.
//!
//! ```text
//!  connect ---> Connected ---> Reply, Message, ... ---> Lost
//!     '---------------------------------------------------^
//! ```
//!
//! There are no deadlines here: who wants a link decides when it has had enough of it, and drops
//! it. What it was asked to write before is still written then, if the socket takes it: the last
//! words to a node may be whom it is to follow. What a node can make us keep is bounded: one reply
//! of [`LIMITS`], and requests that it does not take up to [`REQUESTS_MAX`].

use std::io;

use headwater_resp::reply::{Reply, ReplyLimits, decode};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::sync::{mpsc, oneshot};

use super::driver::Came;
use super::{Address, LinkKind, LinkNo};

/// The largest reply that is taken. INFO has some kilobytes, and a line for each replica.
const LIMITS: ReplyLimits = ReplyLimits {
    bytes: 1 << 20,
    parts: 1000,
    depth: 4,
};

/// So many requests may wait for the socket to take them.
const REQUESTS_MAX: usize = 1024;

/// How much is read at once.
const READ_BYTES: usize = 16 << 10;

/// Our hand on a link. Dropping it has what can be written be written, and closes the socket.
pub(super) struct Link {
    requests: mpsc::Sender<Vec<u8>>,
    /// It is dropped together with this.
    _hold: oneshot::Sender<()>,
}

impl Link {
    pub(super) fn open(no: LinkNo, kind: LinkKind, to: Address, came: mpsc::Sender<Came>) -> Self {
        let (requests, wanted) = mpsc::channel(REQUESTS_MAX);
        let (hold, gone) = oneshot::channel();
        let end = End { no, kind, came };
        tokio::spawn(async move {
            tokio::select! {
                biased;
                () = end.run(to, wanted) => {}
                _ = gone => {}
            }
        });
        Self {
            requests,
            _hold: hold,
        }
    }

    /// Has a request written, once what came before is written. Says whether there is room for it.
    pub(super) fn send(&self, request: Vec<u8>) -> bool {
        self.requests.try_send(request).is_ok()
    }
}

/// The end that has the socket.
struct End {
    no: LinkNo,
    kind: LinkKind,
    came: mpsc::Sender<Came>,
}

impl End {
    async fn run(self, to: Address, wanted: mpsc::Receiver<Vec<u8>>) {
        if let Err(error) = self.converse(&to, wanted).await {
            let (link, why) = (self.no, error.to_string());
            self.tell(Came::Lost { link, why }).await;
        }
    }

    /// Connects, and then reads and writes until one of the two fails, or nobody wants it any more.
    async fn converse(&self, to: &Address, mut wanted: mpsc::Receiver<Vec<u8>>) -> io::Result<()> {
        let mut socket = TcpStream::connect((&*to.host, to.port)).await?;
        socket.set_nodelay(true)?;
        let (link, local) = (self.no, socket.local_addr()?.ip());
        self.tell(Came::Connected { link, local }).await;
        let (mut from, mut to) = socket.split();
        let read = async {
            let mut input = Vec::new();
            loop {
                input.reserve(READ_BYTES);
                if from.read_buf(&mut input).await? == 0 {
                    return Err(io::Error::other("the other end has closed it"));
                }
                self.take(&mut input).await?;
            }
        };
        let write = async {
            while let Some(mut requests) = wanted.recv().await {
                while let Ok(more) = wanted.try_recv() {
                    requests.extend_from_slice(&more);
                }
                to.write_all(&requests).await?;
            }
            Ok(())
        };
        tokio::select! {
            ended = read => ended,
            ended = write => ended,
        }
    }

    /// Tells of all replies that are whole, and takes them out of `input`.
    async fn take(&self, input: &mut Vec<u8>) -> io::Result<()> {
        let mut taken = 0;
        loop {
            let decoded = decode(&input[taken..], &LIMITS).map_err(io::Error::other)?;
            let Some((reply, length)) = decoded else {
                break;
            };
            taken += length;
            self.tell(self.came_as(reply)).await;
        }
        input.drain(..taken);
        Ok(())
    }

    /// A message, or the answer to a request.
    fn came_as(&self, reply: Reply) -> Came {
        let link = self.no;
        match (self.kind, reply) {
            (LinkKind::Messages, Reply::Array(parts) | Reply::Push(parts))
                if is_message(&parts) =>
            {
                let mut parts = parts.into_iter().skip(1).map(bytes);
                let (channel, payload) = (parts.next(), parts.next());
                Came::Message {
                    link,
                    channel: channel.unwrap_or_default(),
                    payload: payload.unwrap_or_default(),
                }
            }
            (_, reply) => Came::Reply { link, reply },
        }
    }

    async fn tell(&self, came: Came) {
        // It fails only when the server ends.
        drop(self.came.send(came).await);
    }
}

/// `message`, a channel and what was published there.
fn is_message(parts: &[Reply]) -> bool {
    let texts = parts.iter().all(|part| matches!(part, Reply::Bulk(_)));
    parts.len() == 3 && texts && parts[0].as_bytes() == Some(b"message")
}

fn bytes(part: Reply) -> Vec<u8> {
    match part {
        Reply::Bulk(bytes) => bytes,
        _ => Vec::new(),
    }
}

#[cfg(test)]
mod tests {
    use tokio::net::TcpListener;

    use super::*;

    #[tokio::test]
    async fn what_was_asked_is_written_before_a_link_ends() {
        let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
        let to = Address::new("127.0.0.1", listener.local_addr().unwrap().port());
        let (came_from, mut came) = mpsc::channel(10);
        let link = Link::open(LinkNo(1), LinkKind::Commands, to, came_from);
        let (mut node, _) = listener.accept().await.unwrap();
        let connected = came.recv().await.unwrap();
        assert!(matches!(connected, Came::Connected { .. }));
        for request in ["SLAVEOF", " NO", " ONE"] {
            assert!(link.send(request.into()));
        }
        drop(link);
        let mut got = String::new();
        node.read_to_string(&mut got).await.unwrap();
        assert_eq!(got, "SLAVEOF NO ONE");
        assert!(came.recv().await.is_none(), "nothing more is heard of it");
    }

    #[tokio::test]
    async fn who_takes_nothing_does_not_keep_a_link_that_has_ended() {
        let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
        let to = Address::new("127.0.0.1", listener.local_addr().unwrap().port());
        let (came_from, mut came) = mpsc::channel(10);
        let link = Link::open(LinkNo(1), LinkKind::Commands, to, came_from);
        came.recv().await.unwrap();
        for _ in 0..20 {
            assert!(link.send(vec![0; 1 << 20]));
        }
        drop(link);
        assert!(came.recv().await.is_none());
    }
}
