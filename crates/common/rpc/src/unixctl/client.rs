//! The asking side of a control socket.

use crate::connection::Connection;
use crate::dirs;
use crate::message::Message;
use crate::stream::{Stream, Tls};
use serde_json::Value;
use std::io;

/// A connection to a program's control socket.
#[derive(Debug)]
pub struct Client {
    connection: Connection,
    next_id: u64,
}

impl Client {
    /// Connects to the socket at `path`, which may be relative to the run directory.
    pub async fn connect(path: &str) -> io::Result<Client> {
        let path = dirs::absolute(&dirs::rundir(), path);
        let stream = Stream::connect(&format!("unix:{}", path.display()), 0, &Tls::default()).await?;
        Ok(Client { connection: Connection::new(stream), next_id: 0 })
    }

    /// Runs one command: the outer result is about the socket, the inner one is the program's answer.
    pub async fn transact(
        &mut self,
        command: &str,
        arguments: &[String],
    ) -> io::Result<Result<Value, Value>> {
        let params = arguments.iter().map(|a| Value::from(a.as_str())).collect();
        let request = Message::request(command, params, self.next_id);
        self.next_id += 1;
        match self.connection.transact(&request).await? {
            Message::Reply { result, .. } => Ok(Ok(result)),
            Message::Error { error, .. } => Ok(Err(error)),
            _ => Err(io::Error::from_raw_os_error(libc::EINVAL)),
        }
    }
}

/// [`Client::connect`] and [`Client::transact`] in one, on a runtime of its own.
pub fn transact(path: &str, command: &str, arguments: &[String]) -> io::Result<Result<Value, Value>> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(async { Client::connect(path).await?.transact(command, arguments).await })
}

/// Where a program takes commands: a path as it is, a program's name by its pidfile.
pub fn socket_of(target: &str) -> Result<String, String> {
    if target.starts_with('/') {
        return Ok(target.to_owned());
    }
    let rundir = dirs::rundir();
    let pidfile = rundir.join(format!("{target}.pid"));
    let pid = crate::daemon::read_pidfile(&pidfile)
        .map_err(|e| format!("cannot read pidfile \"{}\" ({})", pidfile.display(), crate::error_text(&e)))?;
    Ok(rundir.join(format!("{target}.{pid}.ctl")).display().to_string())
}
