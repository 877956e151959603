//! Watching what a bridge and its controllers say to each other: the `snoop` socket.

use std::sync::Arc;

use rpc::{Listener, Stream};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::sync::broadcast;

use crate::channel::{HANDSHAKE, Handshake, Setup};

/// How far a slow watcher may be behind before it misses some messages: so many times what is written or read at once,
/// which is at most the longest message or a few short ones.
const BACKLOG: usize = 64;

/// What is said on a bridge's connections to its controllers.
pub(crate) type Said = broadcast::Sender<Arc<[u8]>>;

pub(crate) fn new() -> Said {
    broadcast::channel(BACKLOG).0
}

/// Accepts watchers, and sends each what is said from then on.
pub(crate) async fn listen(setup: Setup, listener: Listener, said: Said) {
    let mut tasks = tokio::task::JoinSet::new();
    loop {
        tokio::select! {
            accepted = listener.accept() => {
                let Ok(incoming) = accepted else { return };
                let (setup, heard) = (setup.clone(), said.subscribe());
                tasks.spawn_local(async move {
                    if let Ok(stream) = incoming.finish().await {
                        watch(&setup, stream, heard).await;
                    }
                });
            }
            Some(_) = tasks.join_next() => {}
        }
    }
}

async fn watch(setup: &Setup, stream: Stream, mut heard: broadcast::Receiver<Arc<[u8]>>) {
    let shaking = Handshake::run(&setup.versions, stream);
    let Ok(Ok(mut done)) = tokio::time::timeout(HANDSHAKE, shaking).await else { return };
    let mut ignored = [0; 512];
    loop {
        tokio::select! {
            message = heard.recv() => match message {
                Ok(bytes) => {
                    if done.stream.write_all(&bytes).await.is_err() {
                        return;
                    }
                }
                // It was too slow for some; it goes on with what comes now.
                Err(broadcast::error::RecvError::Lagged(_)) => {}
                Err(broadcast::error::RecvError::Closed) => return,
            },
            // A watcher has nothing to say but that it leaves.
            count = done.stream.read(&mut ignored) => {
                if !matches!(count, Ok(1..)) {
                    return;
                }
            }
        }
    }
}
