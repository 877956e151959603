//! Receiving: the one loop, and the one place where the clock is read.

use std::io::{self, Read, Write};
use std::net::{IpAddr, UdpSocket};
use std::time::SystemTime;

use telemetry::Datagram;

use crate::input;
use crate::netflow;
use crate::options::{Format, NetFlow, Options, Source};
use crate::output;
use crate::pcap;
use crate::report::report;
use crate::target::{NetflowTarget, Target};

/// The largest UDP payload.
const MAX_DATAGRAM: usize = 65_535;

/// Collects sFlow until the input ends: never, when it is a socket.
pub(crate) fn run(program: &str, options: Options) -> Result<(), String> {
    let out = Out::new(program, &options)?;
    if let Err(e) = out.begin() {
        return ended(e);
    }
    feed(options.source, out)
}

/// Who is given datagrams.
pub(crate) trait Take {
    /// Takes a datagram that `from` sent; an error is of standard output.
    fn take(&mut self, bytes: &[u8], from: IpAddr, received: SystemTime) -> io::Result<()>;
}

/// Gives all datagrams of a source to `out`, until the source or who reads our output ends.
pub(crate) fn feed(source: Source, mut out: impl Take) -> Result<(), String> {
    match source {
        Source::File { path, port } => {
            let bytes = read_file(&path).map_err(|e| format!("{path}: {}", rpc::error_text(&e)))?;
            for captured in pcap::datagrams(&bytes, &[port]).map_err(|e| format!("{path}: {e}"))? {
                if let Err(e) = out.take(captured.payload, captured.from, captured.time) {
                    return ended(e);
                }
            }
            Ok(())
        }
        Source::Socket { port, address, family } => {
            match receive(&input::listen(port, address, family)?, &mut out)? {
                Ok(never) => match never {},
                Err(e) => ended(e),
            }
        }
    }
}

/// The reader of our output going away is the usual end of `… | head`.
pub(crate) fn ended(error: io::Error) -> Result<(), String> {
    if error.kind() == io::ErrorKind::BrokenPipe {
        return Ok(());
    }
    Err(format!("cannot write: {}", rpc::error_text(&error)))
}

/// Gives all datagrams that come to `socket` to `out`, until receiving fails, or `out` does.
pub(crate) fn receive(
    socket: &UdpSocket,
    out: &mut impl Take,
) -> Result<io::Result<std::convert::Infallible>, String> {
    let mut buffer = vec![0; MAX_DATAGRAM];
    loop {
        let (len, from) = match socket.recv_from(&mut buffer) {
            Ok(received) => received,
            Err(e) if e.kind() == io::ErrorKind::Interrupted => continue,
            Err(e) => return Err(format!("cannot receive: {}", rpc::error_text(&e))),
        };
        let bytes = buffer.get(..len).unwrap_or(&[]);
        if let Err(e) = out.take(bytes, from.ip().to_canonical(), SystemTime::now()) {
            return Ok(Err(e));
        }
    }
}

pub(crate) fn read_file(path: &str) -> io::Result<Vec<u8>> {
    if path == "-" {
        let mut bytes = Vec::new();
        io::stdin().lock().read_to_end(&mut bytes)?;
        return Ok(bytes);
    }
    std::fs::read(path)
}

/// Everything that becomes of a datagram.
struct Out {
    program: String,
    format: Option<Format>,
    netflow: Option<(NetflowTarget, NetFlow)>,
    forward: Vec<Target>,
}

impl Out {
    fn new(program: &str, options: &Options) -> Result<Out, String> {
        let netflow = match options.netflow {
            Some(netflow) => Some((NetflowTarget::open(program, netflow.target)?, netflow)),
            None => None,
        };
        let forward = options.forward.iter().map(|&target| Target::open(program, target));
        Ok(Out {
            program: program.to_owned(),
            format: options.format.clone(),
            netflow,
            forward: forward.collect::<Result<_, String>>()?,
        })
    }

    fn begin(&self) -> io::Result<()> {
        self.format.as_ref().map_or(Ok(()), |format| write(&output::prologue(format)))
    }
}

impl Take for Out {
    /// An error is of standard output.
    fn take(&mut self, bytes: &[u8], from: IpAddr, received: SystemTime) -> io::Result<()> {
        self.forward.iter().for_each(|target| target.send(bytes));
        if self.format.is_none() && self.netflow.is_none() {
            return Ok(());
        }
        let datagram = match Datagram::decode(bytes) {
            Ok(datagram) => datagram,
            Err(e) => {
                eprintln!("{}: a datagram from {from} is left out: {e}", self.program);
                return Ok(());
            }
        };
        let report = report(&datagram, bytes.len(), from, received);
        if let Some((target, NetFlow { is_scaled, .. })) = &mut self.netflow {
            for packet in output::packets(&report) {
                target.send(|sequence| netflow::datagram(packet, sequence, *is_scaled, received));
            }
        }
        match &self.format {
            Some(format) => write(&output::render(format, &report)),
            None => Ok(()),
        }
    }
}

/// Writes at once, so that a program behind a pipe sees each datagram when it comes.
pub(crate) fn write(bytes: &[u8]) -> io::Result<()> {
    let mut out = io::stdout().lock();
    out.write_all(bytes)?;
    out.flush()
}
