//! Byte streams by name: `unix:PATH`, `tcp:HOST:PORT`, `ssl:HOST:PORT` to
//! connect, `punix:PATH`, `ptcp:[PORT][:HOST]`, `pssl:[PORT][:HOST]` to listen, and
//! `pfd:FD` to take over a socket that listens already.
//!
//! Names enter, [`Stream`]s and [`Listener`]s leave. Relative socket paths are
//! in the run directory. What flows through a stream is not here.

mod blocking;
mod der;
mod inherited;
mod socket;
mod target;
mod tls;
mod tls_choice;
mod tls_peer;
mod unix;

pub use blocking::connect_blocking;
pub use target::{Active, Passive, is_active_name, is_passive_name, is_tls_name};
pub use tls::Tls;

use rustix::net::AddressFamily;
use socket::Socket;
use std::io::{self, IoSlice};
use std::net::SocketAddr;
use std::path::PathBuf;
use std::pin::Pin;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::{Context, Poll};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::{TcpListener, TcpStream, UnixListener};

/// Numbers the nameless peers of unix sockets, for logs.
static NEXT_UNNAMED: AtomicU64 = AtomicU64::new(0);

/// A connected stream.
#[derive(Debug)]
pub struct Stream {
    name: String,
    inner: Inner,
    /// The common name in the peer's certificate, where there is one.
    peer_id: Option<String>,
}

#[derive(Debug)]
enum Inner {
    Unix(Socket),
    Tcp(Socket),
    Tls(Box<tokio_rustls::TlsStream<Socket>>),
}

impl Stream {
    /// Connects to `name`. The port of TCP and TLS is `default_port` where the name has none.
    pub async fn connect(name: &str, default_port: u16, tls: &Tls) -> io::Result<Stream> {
        let inner = match Active::parse(name, default_port)? {
            Active::Unix(path) => Inner::Unix(unix::connect(&path).await?),
            Active::Tcp { host, port } => Inner::Tcp(connect_tcp(&host, port).await?),
            Active::Tls { host, port } => {
                let config = tls.client_config()?;
                let tcp = connect_tcp(&host, port).await?;
                let server_name = tls.server_name.as_deref().unwrap_or(&host);
                Inner::Tls(Box::new(tls::connect(config, server_name, tcp).await?.into()))
            }
        };
        Ok(Stream { name: name.to_owned(), inner, peer_id: None })
    }

    /// As given to [`Stream::connect`], or the peer's address for accepted streams.
    pub fn name(&self) -> &str {
        &self.name
    }

    pub fn peer_id(&self) -> Option<&str> {
        self.peer_id.as_deref()
    }

    /// Probing a peer on the same machine tells nothing.
    pub fn needs_probes(&self) -> bool {
        !matches!(self.inner, Inner::Unix(_))
    }

    /// Marks what is sent with a DSCP (RFC 2474), where the stream is over IP.
    pub fn set_dscp(&self, dscp: u8) -> io::Result<()> {
        let Some(tcp) = self.over_ip() else { return Ok(()) };
        let class = (dscp & 0x3f) << 2;
        if rustix::net::getsockname(tcp)?.address_family() == AddressFamily::INET {
            rustix::net::sockopt::set_ip_tos(tcp, class)?;
        } else {
            rustix::net::sockopt::set_ipv6_tclass(tcp, class.into())?;
        }
        Ok(())
    }

    /// The local and the peer's IP address, where there is one.
    pub fn addresses(&self) -> Option<(SocketAddr, SocketAddr)> {
        let tcp = self.over_ip()?;
        let local = rustix::net::getsockname(tcp).ok()?.try_into().ok()?;
        let peer = rustix::net::getpeername(tcp).ok()??.try_into().ok()?;
        Some((local, peer))
    }

    fn over_ip(&self) -> Option<&Socket> {
        match &self.inner {
            Inner::Unix(_) => None,
            Inner::Tcp(tcp) => Some(tcp),
            Inner::Tls(tls) => Some(tls.get_ref().0),
        }
    }
}

async fn connect_tcp(host: &str, port: u16) -> io::Result<Socket> {
    let address = target::resolve(host, port).await?;
    let stream = TcpStream::connect(address).await?;
    tcp_socket(stream)
}

/// Nothing that is written waits for more.
fn tcp_socket(stream: TcpStream) -> io::Result<Socket> {
    stream.set_nodelay(true)?;
    Socket::new(stream.into_std()?)
}

impl AsyncRead for Stream {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        match &mut self.inner {
            Inner::Unix(s) => Pin::new(s).poll_read(cx, buf),
            Inner::Tcp(s) => Pin::new(s).poll_read(cx, buf),
            Inner::Tls(s) => Pin::new(s).poll_read(cx, buf),
        }
    }
}

impl AsyncWrite for Stream {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        match &mut self.inner {
            Inner::Unix(s) => Pin::new(s).poll_write(cx, buf),
            Inner::Tcp(s) => Pin::new(s).poll_write(cx, buf),
            Inner::Tls(s) => Pin::new(s).poll_write(cx, buf),
        }
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        match &mut self.inner {
            Inner::Unix(s) => Pin::new(s).poll_write_vectored(cx, bufs),
            Inner::Tcp(s) => Pin::new(s).poll_write_vectored(cx, bufs),
            Inner::Tls(s) => Pin::new(s).poll_write_vectored(cx, bufs),
        }
    }

    fn is_write_vectored(&self) -> bool {
        true
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match &mut self.inner {
            Inner::Unix(s) => Pin::new(s).poll_flush(cx),
            Inner::Tcp(s) => Pin::new(s).poll_flush(cx),
            Inner::Tls(s) => Pin::new(s).poll_flush(cx),
        }
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match &mut self.inner {
            Inner::Unix(s) => Pin::new(s).poll_shutdown(cx),
            Inner::Tcp(s) => Pin::new(s).poll_shutdown(cx),
            Inner::Tls(s) => Pin::new(s).poll_shutdown(cx),
        }
    }
}

/// A listening socket; dropping it removes the file of a unix socket.
#[derive(Debug)]
pub struct Listener {
    name: String,
    inner: ListenerInner,
    tls: Tls,
}

#[derive(Debug)]
enum ListenerInner {
    /// The path is of the file that goes with the listener; an inherited one leaves it to whom it belongs.
    Unix(UnixListener, Option<PathBuf>),
    Tcp(TcpListener),
    Tls(TcpListener),
}

/// A stream that was accepted; with TLS its handshake is still to be done, by [`Incoming::finish`].
#[derive(Debug)]
pub struct Incoming {
    name: String,
    inner: IncomingInner,
}

#[derive(Debug)]
enum IncomingInner {
    Ready(Inner),
    Handshake(Socket, Tls),
}

impl Incoming {
    /// Completes the stream: at once but for TLS, so a slow peer holds up nobody but itself.
    pub async fn finish(self) -> io::Result<Stream> {
        match self.inner {
            IncomingInner::Ready(inner) => Ok(Stream { name: self.name, inner, peer_id: None }),
            IncomingInner::Handshake(tcp, tls) => {
                let stream = tls::accept(tls.server_config()?, tcp).await?;
                let peer_id = tls::peer_common_name(&stream);
                let inner = Inner::Tls(Box::new(stream.into()));
                Ok(Stream { name: self.name, inner, peer_id })
            }
        }
    }
}

impl Listener {
    /// Listens at `name`. The port of TCP and TLS is `default_port` where the name has none; port 0 lets
    /// the kernel choose.
    pub async fn bind(name: &str, default_port: u16, tls: &Tls) -> io::Result<Listener> {
        let passive = Passive::parse(name, default_port)?;
        let inner = match passive {
            Passive::Unix(path) => ListenerInner::Unix(unix::listen(&path)?, Some(path)),
            Passive::Fd(fd) => match inherited::listener(name, fd)? {
                inherited::Inherited::Unix(listener) => ListenerInner::Unix(listener, None),
                inherited::Inherited::Tcp(listener) => ListenerInner::Tcp(listener),
            },
            Passive::Tcp { host, port } => ListenerInner::Tcp(bind_tcp(name, &host, port).await?),
            Passive::Tls { host, port } => {
                tls.server_config()?;
                ListenerInner::Tls(bind_tcp(name, &host, port).await?)
            }
        };
        Ok(Listener { name: name.to_owned(), inner, tls: tls.clone() })
    }

    pub fn name(&self) -> &str {
        &self.name
    }

    /// The TCP port, known even when the kernel chose it.
    pub fn port(&self) -> Option<u16> {
        match &self.inner {
            ListenerInner::Unix(..) => None,
            ListenerInner::Tcp(l) | ListenerInner::Tls(l) => Some(l.local_addr().ok()?.port()),
        }
    }

    pub fn poll_accept(&self, cx: &mut Context<'_>) -> Poll<io::Result<Incoming>> {
        match &self.inner {
            ListenerInner::Unix(listener, _) => listener.poll_accept(cx).map(|accepted| {
                let (stream, peer) = accepted?;
                let name = match peer.as_pathname() {
                    Some(path) => format!("unix:{}", path.display()),
                    None => format!("unix#{}", NEXT_UNNAMED.fetch_add(1, Ordering::Relaxed)),
                };
                let socket = Socket::new(stream.into_std()?)?;
                Ok(Incoming { name, inner: IncomingInner::Ready(Inner::Unix(socket)) })
            }),
            ListenerInner::Tcp(listener) => listener.poll_accept(cx).map(|accepted| {
                let (stream, peer) = accepted?;
                let inner = IncomingInner::Ready(Inner::Tcp(tcp_socket(stream)?));
                Ok(Incoming { name: format!("tcp:{peer}"), inner })
            }),
            ListenerInner::Tls(listener) => listener.poll_accept(cx).map(|accepted| {
                let (stream, peer) = accepted?;
                let inner = IncomingInner::Handshake(tcp_socket(stream)?, self.tls.clone());
                Ok(Incoming { name: format!("ssl:{peer}"), inner })
            }),
        }
    }

    pub async fn accept(&self) -> io::Result<Incoming> {
        std::future::poll_fn(|cx| self.poll_accept(cx)).await
    }
}

impl Drop for Listener {
    fn drop(&mut self) {
        if let ListenerInner::Unix(_, Some(path)) = &self.inner {
            // The file may be gone already, which is what is wanted.
            let _ = std::fs::remove_file(path);
        }
    }
}

async fn bind_tcp(name: &str, host: &str, port: u16) -> io::Result<TcpListener> {
    let address = target::resolve(host, port).await?;
    let socket =
        if address.is_ipv4() { tokio::net::TcpSocket::new_v4()? } else { tokio::net::TcpSocket::new_v6()? };
    socket.set_reuseaddr(true)?;
    let target = name.split_once(':').map_or(name, |(_, target)| target);
    socket.bind(address).inspect_err(|e| {
        log::error!(target: "socket_util", "{target}: bind: {}", crate::error_text(e));
    })?;
    let listener = socket.listen(64)?;
    if port == 0
        && let Ok(bound) = listener.local_addr()
    {
        log::info!(target: "socket_util", "{target}: listening on port {}", bound.port());
    }
    Ok(listener)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn streams_over_ip_are_marked_and_others_need_not_be() {
        let mut builder = tokio::runtime::Builder::new_current_thread();
        builder.enable_all().build().unwrap().block_on(async {
            let tls = Tls::default();
            let listener = Listener::bind("ptcp:0:127.0.0.1", 0, &tls).await.unwrap();
            let name = format!("tcp:127.0.0.1:{}", listener.port().unwrap());
            let stream = Stream::connect(&name, 0, &tls).await.unwrap();
            stream.set_dscp(48).unwrap();
            let Inner::Tcp(tcp) = &stream.inner else { panic!("{stream:?}") };
            assert_eq!(rustix::net::sockopt::ip_tos(tcp).unwrap(), 48 << 2);
            let (one, _other) = std::os::unix::net::UnixStream::pair().unwrap();
            let inner = Inner::Unix(Socket::new(one).unwrap());
            Stream { name: "pair".to_owned(), inner, peer_id: None }.set_dscp(48).unwrap();
        });
    }
}
