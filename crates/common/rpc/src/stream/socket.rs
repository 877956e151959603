//! A connected stream socket that asks the kernel for no more news than it has use for.
//!
//! Tokio's own streams are registered for readable *and* writable at all times, and a
//! peer that takes a message out of its buffer makes ours writable: a server
//! would be woken once for each reply that is read. Here the kernel is asked
//! about writing only while a write was refused.

use rustix::io::Errno;
use rustix::net::{SendAncillaryBuffer, SendFlags, Shutdown};
use std::io::{self, IoSlice};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use tokio::io::unix::AsyncFd;
use tokio::io::{AsyncRead, AsyncWrite, Interest, ReadBuf};

#[derive(Debug)]
pub(super) struct Socket {
    reader: AsyncFd<OwnedFd>,
    /// A second descriptor of the socket, while what was to be written did not fit.
    writer: Option<AsyncFd<OwnedFd>>,
}

fn watch(socket: OwnedFd, interest: Interest) -> io::Result<AsyncFd<OwnedFd>> {
    // SAFETY: the descriptor is owned, so it stays open and the same while it is watched.
    Ok(unsafe { AsyncFd::register_with_interest(socket, interest) }?)
}

impl Socket {
    /// Takes a connected socket, which becomes nonblocking.
    pub(super) fn new(socket: impl Into<OwnedFd>) -> io::Result<Socket> {
        let socket = socket.into();
        rustix::io::ioctl_fionbio(&socket, true)?;
        Ok(Socket { reader: watch(socket, Interest::READABLE)?, writer: None })
    }

    fn poll_send(&mut self, cx: &mut Context<'_>, slices: &[IoSlice<'_>]) -> Poll<io::Result<usize>> {
        loop {
            let mut none = SendAncillaryBuffer::default();
            match rustix::net::sendmsg(&self.reader, slices, &mut none, SendFlags::NOSIGNAL) {
                Ok(n) => {
                    self.writer = None;
                    return Poll::Ready(Ok(n));
                }
                Err(Errno::INTR) => {}
                Err(Errno::AGAIN) => {
                    let writer = match &mut self.writer {
                        Some(writer) => writer,
                        none => {
                            let second = self.reader.get_ref().try_clone()?;
                            none.insert(watch(second, Interest::WRITABLE)?)
                        }
                    };
                    ready!(writer.poll_write_ready(cx))?.clear_ready();
                }
                Err(e) => return Poll::Ready(Err(e.into())),
            }
        }
    }
}

impl AsFd for Socket {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.reader.as_fd()
    }
}

impl AsyncRead for Socket {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        loop {
            let mut ready = ready!(self.reader.poll_read_ready(cx))?;
            // SAFETY: what is initialised in there is not made otherwise: the kernel only writes to it.
            let space = unsafe { buffer.unfilled_mut() };
            let room = space.len();
            match rustix::io::read(ready.get_inner(), space) {
                Ok((filled, _)) => {
                    let n = filled.len();
                    if 0 < n && n < room {
                        // A stream that gave less than it was asked for is empty (epoll(7)).
                        ready.clear_ready();
                    }
                    // SAFETY: the kernel wrote these bytes.
                    unsafe { buffer.assume_init(n) };
                    buffer.advance(n);
                    return Poll::Ready(Ok(()));
                }
                Err(Errno::INTR) => {}
                Err(Errno::AGAIN) => ready.clear_ready(),
                Err(e) => return Poll::Ready(Err(e.into())),
            }
        }
    }
}

impl AsyncWrite for Socket {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        self.poll_send(cx, &[IoSlice::new(bytes)])
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        self.poll_send(cx, slices)
    }

    fn is_write_vectored(&self) -> bool {
        true
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(rustix::net::shutdown(self.as_fd(), Shutdown::Write).map_err(io::Error::from))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::net::UnixStream;
    use tokio::io::{AsyncReadExt, AsyncWriteExt};

    fn pair() -> (Socket, Socket) {
        let (a, b) = UnixStream::pair().unwrap();
        (Socket::new(a).unwrap(), Socket::new(b).unwrap())
    }

    fn block_on<F: Future>(future: F) -> F::Output {
        tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(future)
    }

    #[test]
    fn more_than_fits_into_the_kernel_arrives_whole() {
        block_on(async {
            let (mut a, mut b) = pair();
            let sent: Vec<u8> = (0..3_000_000_u32).map(|i| i.to_le_bytes()[0]).collect();
            let expected = sent.clone();
            let write = async move {
                a.write_all(&sent).await.unwrap();
                assert!(a.writer.is_none(), "writing is watched without need");
                a.shutdown().await.unwrap();
            };
            let read = async move {
                let mut got = Vec::new();
                b.read_to_end(&mut got).await.unwrap();
                got
            };
            let ((), got) = tokio::join!(write, read);
            assert!(got == expected);
        });
    }

    #[test]
    fn a_reader_that_reads_does_not_wake_the_writer() {
        block_on(async {
            let (mut a, mut b) = pair();
            a.write_all(b"one").await.unwrap();
            let mut got = [0; 3];
            b.read_exact(&mut got).await.unwrap();
            assert_eq!(&got, b"one");
            // The kernel has nothing to say of `a`, neither that it can be read nor that it can be written.
            let news = tokio::time::timeout(std::time::Duration::from_millis(50), a.reader.readable());
            assert!(news.await.is_err());
        });
    }

    #[test]
    fn a_peer_that_is_gone_is_an_end_and_an_error() {
        block_on(async {
            let (mut a, mut b) = pair();
            b.write_all(b"last words").await.unwrap();
            drop(b);
            let mut got = Vec::new();
            a.read_to_end(&mut got).await.unwrap();
            assert_eq!(got, b"last words");
            assert_eq!(a.write_all(b"x").await.unwrap_err().kind(), io::ErrorKind::BrokenPipe);
        });
    }
}
