//! Streams over TLS for programs that wait for nothing else: a thread carries the bytes.

use std::io;
use std::os::unix::net::UnixStream;
use std::sync::mpsc;

use super::{Stream, Tls};

/// Connects to `name` as [`Stream::connect`] does, and waits for that. The stream that is returned carries the bytes of
/// the connection, and ends with it.
pub fn connect_blocking(name: &str, default_port: u16, tls: &Tls) -> io::Result<UnixStream> {
    let (ours, theirs) = UnixStream::pair()?;
    theirs.set_nonblocking(true)?;
    let (tell, told) = mpsc::channel();
    let (name, tls) = (name.to_owned(), tls.clone());
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    std::thread::Builder::new().name("tls".to_owned()).spawn(move || {
        runtime.block_on(async {
            let connected = async {
                let stream = Stream::connect(&name, default_port, &tls).await?;
                Ok::<_, io::Error>((stream, tokio::net::UnixStream::from_std(theirs)?))
            };
            match connected.await {
                Ok((mut stream, mut inner)) => {
                    if tell.send(Ok(())).is_ok() {
                        // An error of either side is an end for the other one.
                        let _ = tokio::io::copy_bidirectional(&mut stream, &mut inner).await;
                    }
                }
                Err(error) => _ = tell.send(Err(error)),
            }
        });
    })?;
    told.recv().map_err(|_| io::Error::from(io::ErrorKind::ConnectionAborted))??;
    Ok(ours)
}
