//! The same over TLS: large frames, many at once, slow and vanished peers.

use super::*;
use crate::rpc::MemberStream;
use crate::rpc::auth::{self, Credentials, Encryption, NO_IDENTITY};
use crate::secret::{Secret, Secrets};

/// Says back what it was asked.
#[derive(Debug)]
struct Mirror;

impl Handler for Mirror {
    async fn handle(&self, peer: &Authenticated, request: Frame) -> Frame {
        assert!(peer.is_encrypted());
        request
    }
}

fn credentials(encryption: Encryption) -> Credentials {
    let secret = Secret::try_from("the secret of these tests").unwrap();
    Credentials::new(NO_IDENTITY, &Secrets::new(secret)).with_encryption(encryption)
}

/// A server that encrypts on request, and the stream to it, which takes that many bytes ahead.
fn server(room: usize) -> (DuplexStream, JoinHandle<MuxEnd>, ShutdownTrigger) {
    let (near, far) = duplex(room);
    let (trigger, shutdown) = Shutdown::new();
    let server = tokio::spawn(async move {
        let mut far = Connection::new(far, PATIENCE);
        let header = far.header().await.unwrap().unwrap();
        let credentials = credentials(Encryption::OnRequest);
        let purposes = [Purpose::Replicate];
        let accepted = auth::accept(far, &header, &credentials, &purposes, PATIENCE).await;
        let (far, member) = accepted.unwrap();
        let limits = MuxLimits::default();
        serve(far, member, Arc::new(Mirror), limits, &shutdown).await
    });
    (near, server, trigger)
}

async fn client(near: DuplexStream, limits: MuxLimits) -> Mux {
    let credentials = credentials(Encryption::Always);
    let mux = Mux::over(near, &credentials, Purpose::Replicate, limits).await;
    let mux = mux.unwrap();
    assert!(mux.authenticated().is_encrypted());
    mux
}

#[tokio::test]
async fn frames_of_any_length_pass_through_a_narrow_stream() {
    for room in [100, 64 * 1024] {
        let (near, server, _running) = server(room);
        let mux = client(near, MuxLimits::default()).await;
        for payload_len in [0, 1, 2049, 16 * 1024, 100_000, 2 << 20] {
            let request = frame("", vec![5; payload_len]);
            assert_eq!(mux.call(request.clone()).await.unwrap(), request);
        }
        drop(mux);
        let end = server.await.unwrap();
        assert!(matches!(end, MuxEnd::Closed), "{end:?}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn many_calls_at_once_each_get_their_own_answer() {
    let (near, _server, _running) = server(10_000);
    let mux = client(near, MuxLimits::default()).await;
    let calls = (0..300_usize).map(|number| {
        let mux = mux.clone();
        tokio::spawn(async move {
            let payload = vec![u8::try_from(number % 251).unwrap(); number * 500];
            let request = Frame {
                head: Bytes::from(number.to_string()),
                payload: Bytes::from(payload),
            };
            assert_eq!(mux.call(request.clone()).await.unwrap(), request);
        })
    });
    for call in calls.collect::<Vec<_>>() {
        call.await.unwrap();
    }
}

#[tokio::test(start_paused = true)]
async fn an_idle_connection_lives() {
    let (near, _server, _running) = server(10_000);
    let mux = client(near, MuxLimits::default()).await;
    tokio::time::sleep(Duration::from_mins(10)).await;
    assert!(mux.is_open());
    assert!(mux.call(frame("x", "")).await.is_ok());
}

/// A client without a program, inside of TLS.
async fn raw_member(
    room: usize,
) -> (
    MemberStream<DuplexStream>,
    JoinHandle<MuxEnd>,
    ShutdownTrigger,
) {
    let (near, server, trigger) = server(room);
    let credentials = credentials(Encryption::Always);
    let near = Connection::new(near, PATIENCE);
    let initiated = auth::initiate(near, &credentials, Purpose::Replicate, PATIENCE).await;
    let (mut near, _) = initiated.unwrap();
    near.send(&Settings::of(&MuxLimits::default()).encode())
        .await
        .unwrap();
    near.take(FRAME_HEADER_LEN + 16).await.unwrap();
    (near.into_parts().0, server, trigger)
}

#[tokio::test(start_paused = true)]
async fn a_slow_reader_gets_everything_and_one_that_has_stopped_is_given_up() {
    let (near, server, _running) = raw_member(16 * 1024).await;
    let (mut reader, mut writer) = tokio::io::split(near);
    let request = frame("x", vec![1; 60_000]);
    let asked = encoded(&request, 1, FrameKind::Request);
    writer.write_all(&asked).await.unwrap();
    writer.flush().await.unwrap();
    let expected = encoded(&request, 1, FrameKind::Answer);
    let mut answered = Vec::new();
    while answered.len() < expected.len() {
        // Each piece is late, but never as late as to be given up.
        tokio::time::sleep(Duration::from_millis(20)).await;
        let mut piece = [0; 1000];
        let missing = expected.len() - answered.len();
        let room = missing.min(piece.len());
        let len = reader.read(&mut piece[..room]).await.unwrap();
        answered.extend_from_slice(&piece[..len]);
    }
    assert!(answered == expected);

    let feeding = tokio::spawn(async move {
        let mut sent = 0_usize;
        while writer.write_all(&asked).await.is_ok() {
            sent += 1;
        }
        (sent, reader)
    });
    let end = server.await.unwrap();
    assert!(matches!(end, MuxEnd::Stalled(_)), "{end:?}");
    let (sent, _reader) = feeding.await.unwrap();
    let most = MuxLimits::default().bytes_max / 60_000;
    assert!(sent <= most + 8, "{sent} requests were taken");
}

#[tokio::test(start_paused = true)]
async fn a_peer_that_takes_not_even_what_tls_has_kept_is_given_up() {
    let (near, server, _running) = raw_member(16 * 1024).await;
    let (_reader, mut writer) = tokio::io::split(near);
    // The answer is longer than what is under way on the network, and TLS takes all of it at once.
    let request = frame("x", vec![1; 30_000]);
    let asked = encoded(&request, 1, FrameKind::Request);
    writer.write_all(&asked).await.unwrap();
    let alive = encoded(&Frame::default(), 0, FrameKind::Alive);
    let living = async {
        while writer.write_all(&alive).await.is_ok() && writer.flush().await.is_ok() {
            tokio::time::sleep(Duration::from_millis(300)).await;
        }
    };
    let end = tokio::select! {
        biased;
        end = server => end.unwrap(),
        () = living => panic!("the server is there until it gives up"),
    };
    assert!(matches!(end, MuxEnd::Stalled(_)), "{end:?}");
}

#[tokio::test]
async fn a_peer_that_vanishes_without_farewell_ends_the_connection() {
    let (near, server, _running) = raw_member(16 * 1024).await;
    drop(near);
    let end = server.await.unwrap();
    assert!(matches!(end, MuxEnd::Closed), "{end:?}");
}
