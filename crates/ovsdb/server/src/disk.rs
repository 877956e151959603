//! What the server does when the disk has done something: replies that were held go out, compactions end.

use crate::rhythm::Rhythm;
use crate::server::{Server, SharedServer};
use crate::session::{Outgoing, SessionId};
use model::{Error, Json};
use rpc::Message;
use rpc::connection::Chunk;
use std::sync::Arc;
use store::{DiskProgress, Notify};
use tokio::sync::oneshot;

/// Listens to the disk's threads; ends never.
pub(crate) async fn run(server: SharedServer, rhythm: Rhythm) {
    let news = server.borrow().disk_news.clone();
    loop {
        news.notified().await;
        let mut server = server.borrow_mut();
        server.poll_disks();
        // The news may be of another kind, or of an earlier sync.
        if server.holding.is_empty() {
            rhythm.released();
        }
    }
}

impl Server {
    /// What the disk's threads call.
    pub(crate) fn disk_notify(&self) -> Notify {
        let news = self.disk_news.clone();
        Arc::new(move || news.notify_one())
    }

    pub(crate) fn poll_disks(&mut self) {
        let now = self.clock.now();
        let names: Vec<String> = self.databases.keys().cloned().collect();
        for name in names {
            let Some(hosted) = self.databases.get_mut(&name) else { continue };
            let progress = hosted.file.poll_disk();
            if let Some(result) = &progress.compacted {
                if let Err(e) = result {
                    log::warn!(target: "ovsdb_server", "{name}: compacting failed: {e}");
                }
                hosted.compaction_ended(result.clone().map_err(|e| e.to_string()), now);
            }
            self.release(&name, &progress);
        }
    }

    /// Makes replies ready whose transactions are on disk, or never will be.
    fn release(&mut self, database: &str, progress: &DiskProgress) {
        let sessions: Vec<SessionId> = self.holding.iter().copied().collect();
        for id in sessions {
            let Some(session) = self.sessions.get_mut(&id) else {
                self.holding.remove(&id);
                continue;
            };
            let mut holds = false;
            for outgoing in &mut session.outbox {
                let Outgoing::Held(held) = outgoing else { continue };
                let failure = progress.failure.as_ref().filter(|_| held.ticket > progress.synced);
                if held.database != database || (held.ticket > progress.synced && failure.is_none()) {
                    holds = true;
                    continue;
                }
                let mut results = std::mem::take(&mut held.results);
                results.extend(failure.map(Error::to_json));
                let reply = Message::Reply { result: Json::Array(results), id: held.id.take() };
                *outgoing = Outgoing::Ready(Chunk::Own(reply.encode()));
            }
            if !holds {
                self.holding.remove(&id);
            }
            session.wake();
        }
    }

    /// Begins to compact a database; the end comes on the channel. Without a file there is nothing to do.
    pub fn compact(&mut self, name: &str) -> Result<oneshot::Receiver<Result<(), String>>, Error> {
        let (sender, receiver) = oneshot::channel();
        let Some(hosted) = self.databases.get_mut(name) else {
            return Err(Error::general("no database by that name"));
        };
        if hosted.file.start_compaction("compacting database online")? {
            hosted.compaction_waiters.push(sender);
        } else {
            // The receiver is ours.
            let _ = sender.send(Ok(()));
        }
        Ok(receiver)
    }

    /// Compacts the databases whose logs have grown, or are old.
    pub fn compact_what_grew(&mut self) {
        let now = self.clock.now();
        for (name, hosted) in &mut self.databases {
            if !hosted.wants_compaction(now) {
                continue;
            }
            log::info!(target: "ovsdb_server", "{name}: compacting database online");
            if let Err(e) = hosted.file.start_compaction("compacting database online") {
                log::warn!(target: "ovsdb_server", "{name}: compacting failed: {e}");
                hosted.compaction_ended(Err(e.to_string()), now);
            }
        }
    }
}
