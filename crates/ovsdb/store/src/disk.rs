//! Waiting for the disk, away from the thread that serves.
//!
//! A [`Syncer`] is a thread that syncs files. Who wants to know that what was
//! written so far is on disk asks for a ticket; one sync answers all tickets
//! that were asked for before it began. Nothing here knows of records.

use crate::log_file::io_failed;
use model::Error;
use std::fs::File;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;

/// Called on threads of the disk when there is something to be fetched.
pub type Notify = Arc<dyn Fn() + Send + Sync>;

/// Names a moment in what was written. Later moments have higher tickets.
pub type Ticket = u64;

#[derive(Debug, Default)]
struct State {
    /// What is to be synced.
    files: Vec<Arc<File>>,
    asked: Ticket,
    done: Ticket,
    failure: Option<Error>,
    closing: bool,
}

#[derive(Debug, Default)]
struct Shared {
    state: Mutex<State>,
    changed: Condvar,
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, State> {
        // The state is whole between any two statements.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// See the module's text. Dropping it ends the thread when the sync under way is done.
#[derive(Debug)]
pub(crate) struct Syncer {
    shared: Arc<Shared>,
    thread: Option<JoinHandle<()>>,
}

impl Syncer {
    /// Starts the thread; `display` names the file in messages. The first ticket comes after `last`.
    pub(crate) fn start(display: &str, last: Ticket, notify: Notify) -> Result<Syncer, Error> {
        let shared = Arc::new(Shared::default());
        {
            let mut state = shared.lock();
            (state.asked, state.done) = (last, last);
        }
        let (theirs, display) = (shared.clone(), display.to_owned());
        let thread = std::thread::Builder::new().name("sync".to_owned());
        let thread = thread
            .spawn(move || run(&theirs, &display, &notify))
            .map_err(|e| io_failed(&e, "failed to start a thread".to_owned()))?;
        Ok(Syncer { shared, thread: Some(thread) })
    }

    /// Asks for a sync of all that was written to these files.
    pub(crate) fn ask(&self, files: Vec<Arc<File>>) -> Ticket {
        let ticket = {
            let mut state = self.shared.lock();
            state.files = files;
            state.asked += 1;
            state.asked
        };
        // Woken any earlier, the thread would only wait for the lock.
        self.shared.changed.notify_one();
        ticket
    }

    /// The last ticket that was given out.
    pub(crate) fn last(&self) -> Ticket {
        self.shared.lock().asked
    }

    /// The highest ticket that is on disk, and why later ones will never be.
    pub(crate) fn progress(&self) -> (Ticket, Option<Error>) {
        let state = self.shared.lock();
        (state.done, state.failure.clone())
    }
}

impl Drop for Syncer {
    fn drop(&mut self) {
        self.shared.lock().closing = true;
        self.shared.changed.notify_one();
        if let Some(thread) = self.thread.take() {
            // A thread that panicked has nothing more to tell.
            let _ = thread.join();
        }
    }
}

fn run(shared: &Shared, display: &str, notify: &Notify) {
    loop {
        let (files, ticket) = {
            let mut state = shared.lock();
            while state.asked == state.done && !state.closing {
                state = shared.changed.wait(state).unwrap_or_else(PoisonError::into_inner);
            }
            if state.asked == state.done {
                return;
            }
            (state.files.clone(), state.asked)
        };
        let result = files.iter().try_for_each(|file| file.sync_data());
        let mut state = shared.lock();
        match result {
            Ok(()) if state.failure.is_none() => state.done = ticket,
            Ok(()) => {}
            Err(e) => {
                let failed = || io_failed(&e, format!("{display}: fsync failed"));
                state.failure.get_or_insert_with(failed);
            }
        }
        let failed = state.failure.is_some();
        drop(state);
        notify();
        if failed {
            // What a failed sync lost does not come back by another: the owner must start over.
            return;
        }
    }
}
