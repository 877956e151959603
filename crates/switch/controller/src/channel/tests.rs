use super::*;

#[test]
fn messages_are_cut_where_their_length_says() {
    let input = [1, 2, 0, 8, 0, 0, 0, 1, 1, 2, 0, 9, 0, 0, 0, 2];
    assert_eq!(message_len(&input).unwrap(), Some(8));
    assert_eq!(message_len(&input[8..]).unwrap(), None);
    assert!(message_len(&[1, 0, 0, 7, 0, 0, 0, 0]).is_err());
}

#[test]
fn a_request_is_waited_for_awake_only_after_two_that_followed_each_other_closely() {
    let start = Instant::now();
    let at = |micros: u64| start + Duration::from_micros(micros);
    let mut rhythm = Rhythm::default();
    assert!(!rhythm.lingers(at(0)));
    rhythm.asked(at(0));
    assert!(!rhythm.lingers(at(1)), "one request is no sequence");
    rhythm.asked(at(100));
    assert!(rhythm.lingers(at(150)) && !rhythm.lingers(at(170)));
    rhythm.asked(at(1000));
    assert!(!rhythm.lingers(at(1001)));
}

/// Reads the next message of `stream`: its type.
async fn next_type(stream: &mut tokio::net::UnixStream) -> u8 {
    let mut header = [0; HEADER];
    stream.read_exact(&mut header).await.unwrap();
    let length = usize::from(u16::from_be_bytes([header[2], header[3]]));
    stream.read_exact(&mut vec![0; length - HEADER]).await.unwrap();
    header[1]
}

/// Each message that the peer takes provokes the next one, so that the connection is never without an event.
async fn probe_a_silent_peer(path: &str) -> End {
    const HELLO: [u8; 8] = [4, 0, 0, 8, 0, 0, 0, 1];
    const ECHO_REQUEST: u8 = 2;
    let listener = tokio::net::UnixListener::bind(path).unwrap();
    let stream = Stream::connect(&format!("unix:{path}"), rpc::OPENFLOW_PORT, &Tls::default()).await.unwrap();
    let (mut peer, _) = listener.accept().await.unwrap();
    let (events, mut reports) = mpsc::channel(8);
    let probe = Some(Duration::from_millis(100));
    let (bridge, versions) = ("br0".to_owned(), vec![Version::Of13]);
    let setup = Setup { bridge, target: Target(1), versions, events, dscp: 0, probe, snoop: None };
    let serving = serve(&setup, PeerId(1), "br0<->test", stream, HANDSHAKE, || {});
    let chatting = async {
        peer.write_all(&HELLO).await.unwrap();
        let Some(Event::Connected { link, .. }) = reports.recv().await else { panic!("not connected") };
        assert_eq!(next_type(&mut peer).await, 0);
        let chat = || link.send(Class::Notice, Message::BarrierReply.to_bytes(&encoder(Version::Of13, 0)));
        loop {
            chat();
            if next_type(&mut peer).await == ECHO_REQUEST {
                break;
            }
        }
        // The probe stays without an answer, while the chatter goes on.
        loop {
            chat();
            let mut some = [0; 4096];
            if peer.read(&mut some).await.unwrap_or(0) == 0 {
                break;
            }
        }
    };
    let (end, ()) = tokio::join!(serving, chatting);
    end
}

#[test]
fn a_peer_that_only_takes_messages_is_probed_and_given_up() {
    let path = std::env::temp_dir().join(format!("ironbridge-probe-{}", std::process::id()));
    let path = path.to_str().unwrap();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let limit = Duration::from_secs(60);
    let end = runtime.block_on(async { tokio::time::timeout(limit, probe_a_silent_peer(path)).await });
    std::fs::remove_file(path).unwrap();
    assert!(matches!(end, Ok(End::Unresponsive(_))), "{:?}", end.map(|end| end.error()));
}

/// Serves one end of a pair of sockets, with a probe after 200 ms; the other end, and what the task reports.
async fn served(path: &str, peer_does: impl AsyncFn(tokio::net::UnixStream, mpsc::Receiver<Event>)) -> End {
    let _ = std::fs::remove_file(path);
    let listener = tokio::net::UnixListener::bind(path).unwrap();
    let stream = Stream::connect(&format!("unix:{path}"), rpc::OPENFLOW_PORT, &Tls::default()).await.unwrap();
    let (mut peer, _) = listener.accept().await.unwrap();
    let (events, reports) = mpsc::channel(8);
    let probe = Some(Duration::from_millis(200));
    let (bridge, versions) = ("br0".to_owned(), vec![Version::Of13]);
    let setup = Setup { bridge, target: Target(1), versions, events, dscp: 0, probe, snoop: None };
    peer.write_all(&[4, 0, 0, 8, 0, 0, 0, 1]).await.unwrap();
    let serving = serve(&setup, PeerId(1), "br0<->test", stream, HANDSHAKE, || {});
    let (end, ()) = tokio::join!(serving, peer_does(peer, reports));
    std::fs::remove_file(path).unwrap();
    end
}

fn run(name: &str, peer_does: impl AsyncFn(tokio::net::UnixStream, mpsc::Receiver<Event>)) -> End {
    let path = std::env::temp_dir().join(format!("ironbridge-{name}-{}", std::process::id()));
    let runtime =
        tokio::runtime::Builder::new_current_thread().enable_all().start_paused(true).build().unwrap();
    let limit = Duration::from_secs(30);
    let serving = served(path.to_str().unwrap(), peer_does);
    runtime.block_on(async { tokio::time::timeout(limit, serving).await }).unwrap()
}

/// A manager that answers each message by `length` bytes; how many messages it was handed.
async fn answer_all(mut reports: mpsc::Receiver<Event>, length: usize) -> usize {
    let (mut peer, mut inbox, mut count) = (None, 0, 0);
    while let Some(event) = reports.recv().await {
        match event {
            Event::Connected { link, .. } => peer = Some(link),
            Event::Received { messages, .. } => {
                (inbox, count) = (inbox + messages.len(), count + messages.len())
            }
            Event::Disconnected { .. } => break,
            Event::Taken { .. } | Event::Turn { .. } => {}
        }
        let Some(link) = &peer else { continue };
        while inbox > 0 && !link.stalls() {
            let reply = Message::EchoReply(vec![0; length]).to_bytes(&encoder(Version::Of13, 0));
            link.send(Class::Reply, reply);
            inbox -= 1;
        }
        if inbox == 0 {
            link.end_batch();
        }
    }
    count
}

#[test]
fn a_peer_that_asks_and_does_not_read_is_given_up_by_its_probe() {
    let asked = std::cell::Cell::new(0);
    let end = run("deaf", async |mut peer, reports| {
        let asking = async {
            let request = Message::BarrierRequest.to_bytes(&encoder(Version::Of13, 5)).repeat(1000);
            // It asks for ever; the end of the connection ends it.
            while peer.write_all(&request).await.is_ok() {}
            std::future::pending::<()>().await;
        };
        tokio::select! {
            () = asking => {}
            count = answer_all(reports, 1000) => asked.set(count),
        }
    });
    assert_eq!(end, End::Unresponsive(Duration::from_millis(200)));
    assert!(asked.get() < 50_000, "{} requests were taken", asked.get());
}

#[test]
fn a_peer_that_reads_slowly_is_alive() {
    let end = run("slow", async |peer, reports| {
        let asking = async move {
            let (mut reading, mut writing) = peer.into_split();
            let request = Message::BarrierRequest.to_bytes(&encoder(Version::Of13, 5));
            // What it asks is more than is read ahead.
            let requests = request.repeat(100_000);
            let ask = async {
                writing.write_all(&requests).await.unwrap();
            };
            let read = async {
                let mut bytes = vec![0; 20_000];
                // Much longer than two probes take.
                for _ in 0..200 {
                    assert_ne!(reading.read(&mut bytes).await.unwrap(), 0);
                    tokio::time::sleep(Duration::from_millis(20)).await;
                }
            };
            tokio::select! {
                () = ask => panic!("all was read"),
                () = read => {}
            }
        };
        tokio::join!(asking, answer_all(reports, 1000));
    });
    assert!(matches!(end, End::Closed | End::Dropped(_)), "{end:?}");
}
