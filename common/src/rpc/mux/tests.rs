mod tls;

use std::sync::atomic::{AtomicUsize, Ordering};

use bytes::{Bytes, BytesMut};
use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream, duplex};
use tokio::sync::{Notify, Semaphore};
use tokio::task::JoinHandle;

use super::frame::{FRAME_HEADER_LEN, FrameHeader, FrameKind, Settings};
use super::*;
use crate::env::{Shutdown, ShutdownTrigger};
use crate::rpc::Connection;
use crate::rpc::auth::{Authenticated, Purpose};
use crate::wire::report::NodeIdentity;

const PATIENCE: Duration = Duration::from_secs(5);

fn member() -> Authenticated {
    Authenticated::assume(NodeIdentity([7; 16]), Purpose::Replicate)
}

fn frame(head: &'static str, payload: impl Into<Bytes>) -> Frame {
    Frame {
        head: Bytes::from_static(head.as_bytes()),
        payload: payload.into(),
    }
}

/// Answers what it was asked; "wait" only when released, "panic" never.
#[derive(Debug, Default)]
struct Echo {
    under_way: AtomicUsize,
    under_way_most: AtomicUsize,
    finished: AtomicUsize,
    release: Option<Arc<Semaphore>>,
    started: Notify,
}

impl Echo {
    fn gated() -> (Arc<Self>, Arc<Semaphore>) {
        let release = Arc::new(Semaphore::new(0));
        let echo = Self {
            release: Some(Arc::clone(&release)),
            ..Self::default()
        };
        (Arc::new(echo), release)
    }
}

impl Handler for Echo {
    async fn handle(&self, peer: &Authenticated, request: Frame) -> Frame {
        assert_eq!(*peer, member());
        let now = self.under_way.fetch_add(1, Ordering::SeqCst) + 1;
        self.under_way_most.fetch_max(now, Ordering::SeqCst);
        self.started.notify_one();
        match request.head.as_ref() {
            b"wait" => {
                let release = self.release.as_ref().unwrap();
                release.acquire().await.unwrap().forget();
            }
            b"panic" => panic!("as the test asked"),
            _ => tokio::task::yield_now().await,
        }
        self.under_way.fetch_sub(1, Ordering::SeqCst);
        self.finished.fetch_add(1, Ordering::SeqCst);
        request
    }
}

struct Pair {
    mux: Mux,
    server: JoinHandle<MuxEnd>,
    trigger: ShutdownTrigger,
}

async fn pair(handler: Arc<Echo>, client: MuxLimits, server: MuxLimits) -> Pair {
    let (near, far) = duplex(256 * 1024);
    let (trigger, shutdown) = Shutdown::new();
    let far = Connection::new(far, PATIENCE);
    let server =
        tokio::spawn(async move { serve(far, member(), handler, server, &shutdown).await });
    let near = Connection::new(near, PATIENCE);
    let mux = Mux::start(near, member(), client).await.unwrap();
    Pair {
        mux,
        server,
        trigger,
    }
}

async fn pair_of(handler: Arc<Echo>) -> Pair {
    pair(handler, MuxLimits::default(), MuxLimits::default()).await
}

/// A peer without a program: what comes and what goes is up to the test.
async fn raw_server() -> (Mux, DuplexStream) {
    let (near, mut far) = duplex(64 * 1024);
    far.write_all(&Settings::of(&MuxLimits::default()).encode())
        .await
        .unwrap();
    let mux = Mux::start(
        Connection::new(near, PATIENCE),
        member(),
        MuxLimits::default(),
    )
    .await
    .unwrap();
    let mut settings = [0; FRAME_HEADER_LEN + 16];
    far.read_exact(&mut settings).await.unwrap();
    (mux, far)
}

/// A client without a program.
async fn raw_client(handler: Arc<Echo>) -> (DuplexStream, JoinHandle<MuxEnd>, ShutdownTrigger) {
    let (mut near, far) = duplex(64 * 1024);
    let (trigger, shutdown) = Shutdown::new();
    let far = Connection::new(far, PATIENCE);
    let limits = MuxLimits::default();
    let server =
        tokio::spawn(async move { serve(far, member(), handler, limits, &shutdown).await });
    near.write_all(&Settings::of(&limits).encode())
        .await
        .unwrap();
    let mut settings = [0; FRAME_HEADER_LEN + 16];
    near.read_exact(&mut settings).await.unwrap();
    (near, server, trigger)
}

fn encoded(frame: &Frame, request: u64, kind: FrameKind) -> Vec<u8> {
    let mut out = BytesMut::new();
    FrameHeader::put(frame, request, kind, &mut out);
    out.extend_from_slice(&frame.head);
    out.extend_from_slice(&frame.payload);
    out.to_vec()
}

#[tokio::test]
async fn what_is_asked_is_answered() {
    let pair = pair_of(Arc::default()).await;
    for payload_len in [0, 1, 2048, 2049, 100_000, 1 << 20] {
        let request = frame("head", vec![5; payload_len]);
        assert_eq!(pair.mux.call(request.clone()).await.unwrap(), request);
    }
    assert_eq!(pair.mux.under_way(), 0);
    drop(pair.mux);
    assert!(matches!(pair.server.await.unwrap(), MuxEnd::Closed));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_thousand_calls_at_once_each_get_their_own_answer() {
    let limits = MuxLimits {
        requests_max: 64,
        bytes_max: 64 * 1024,
        ..MuxLimits::default()
    };
    let echo = Arc::new(Echo::default());
    let pair = pair(Arc::clone(&echo), limits, MuxLimits::default()).await;
    let calls = (0..1000_usize).map(|number| {
        let mux = pair.mux.clone();
        tokio::spawn(async move {
            let payload = vec![u8::try_from(number % 251).unwrap(); number * 5];
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
    assert_eq!(echo.finished.load(Ordering::SeqCst), 1000);
    assert!(echo.under_way_most.load(Ordering::SeqCst) <= 64);
}

#[tokio::test]
async fn an_answer_overtakes_one_that_takes_longer() {
    let (echo, release) = Echo::gated();
    let pair = pair_of(Arc::clone(&echo)).await;
    let slow = tokio::spawn({
        let mux = pair.mux.clone();
        async move { mux.call(frame("wait", "")).await }
    });
    echo.started.notified().await;
    assert!(pair.mux.call(frame("quick", "x")).await.is_ok());
    assert_eq!(pair.mux.under_way(), 1);
    release.add_permits(1);
    assert_eq!(slow.await.unwrap().unwrap(), frame("wait", ""));
}

#[tokio::test(start_paused = true)]
async fn callers_wait_for_room_and_the_smaller_limit_counts() {
    let (echo, release) = Echo::gated();
    let narrow = MuxLimits {
        requests_max: 3,
        ..MuxLimits::default()
    };
    let pair = pair(Arc::clone(&echo), MuxLimits::default(), narrow).await;
    assert_eq!(pair.mux.limits().requests_max, 3);
    let calls: Vec<_> = (0..10)
        .map(|_| {
            let mux = pair.mux.clone();
            tokio::spawn(async move { mux.call(frame("wait", "")).await })
        })
        .collect();
    while echo.under_way.load(Ordering::SeqCst) < 3 {
        tokio::task::yield_now().await;
    }
    release.add_permits(10);
    for call in calls {
        call.await.unwrap().unwrap();
    }
    assert_eq!(echo.under_way_most.load(Ordering::SeqCst), 3);
}

#[tokio::test(start_paused = true)]
async fn a_call_that_nobody_waits_for_any_more_keeps_its_room_until_it_is_answered() {
    let (echo, release) = Echo::gated();
    let narrow = MuxLimits {
        requests_max: 1,
        ..MuxLimits::default()
    };
    let pair = pair(Arc::clone(&echo), narrow, MuxLimits::default()).await;
    let second = Duration::from_secs(1);
    let late = pair.mux.call_within(frame("wait", ""), second).await;
    assert!(matches!(late, Err(MuxError::Deadline(_))), "{late:?}");
    let crowded = pair.mux.call_within(frame("quick", ""), second).await;
    assert!(matches!(crowded, Err(MuxError::Deadline(_))), "{crowded:?}");
    release.add_permits(1);
    assert!(pair.mux.call(frame("quick", "")).await.is_ok());
}

#[tokio::test(start_paused = true)]
async fn an_idle_connection_lives_and_a_silent_peer_is_noticed() {
    let (echo, _release) = Echo::gated();
    let pair = pair_of(echo).await;
    // Nothing to say for an hour, but signs of life.
    tokio::time::sleep(Duration::from_hours(1)).await;
    assert!(pair.mux.is_open());
    assert!(pair.mux.call(frame("x", "")).await.is_ok());

    let (mux, _far) = raw_server().await;
    let asked = tokio::time::Instant::now();
    let failed = mux.call(frame("x", "")).await;
    let Err(MuxError::Ended(MuxEnd::Silent(silence))) = failed else {
        panic!("{failed:?}");
    };
    assert_eq!(silence, MuxLimits::default().silence_max);
    assert!(asked.elapsed() <= silence);
    assert!(!mux.is_open());
    let refused = mux.call(frame("x", "")).await;
    assert!(
        matches!(refused, Err(MuxError::Ended(MuxEnd::Silent(_)))),
        "{refused:?}"
    );
}

#[tokio::test(start_paused = true)]
async fn a_server_notices_a_client_that_is_half_gone() {
    let (_near, server, _trigger) = raw_client(Arc::default()).await;
    let asked = tokio::time::Instant::now();
    assert!(matches!(server.await.unwrap(), MuxEnd::Silent(_)));
    assert!(asked.elapsed() < Duration::from_secs(3));
}

#[tokio::test(start_paused = true)]
async fn a_client_that_reads_no_answers_is_given_up_and_memory_stays_bounded() {
    let echo = Arc::<Echo>::default();
    let (mut near, server, _trigger) = raw_client(Arc::clone(&echo)).await;
    let request = frame("x", vec![1; 60_000]);
    let feeding = tokio::spawn(async move {
        let mut sent = 0_usize;
        loop {
            let bytes = encoded(&request, sent as u64, FrameKind::Request);
            if near.write_all(&bytes).await.is_err() {
                return sent;
            }
            sent += 1;
        }
    });
    assert!(matches!(server.await.unwrap(), MuxEnd::Stalled(_)));
    let sent = feeding.await.unwrap();
    let most = MuxLimits::default().bytes_max / 60_000;
    assert!(sent <= most + 8, "{sent} requests were taken");
}

#[tokio::test]
async fn a_frame_above_the_limit_ends_the_connection_before_anything_is_allocated() {
    for (len, head_len, kind) in [
        ((2 << 20) + 1, 0, 2),
        (u32::MAX, 0, 2),
        (10, 11, 2),
        (0, 0, 99),
        (0, 0, 3),
        (0, 0, 1),
    ] {
        let (mut near, server, _trigger) = raw_client(Arc::default()).await;
        let mut header = Vec::new();
        header.extend_from_slice(&u32::to_be_bytes(len));
        header.extend_from_slice(&u32::to_be_bytes(head_len));
        header.extend_from_slice(&1_u64.to_be_bytes());
        header.push(kind);
        near.write_all(&header).await.unwrap();
        let end = server.await.unwrap();
        assert!(matches!(end, MuxEnd::Protocol(_)), "{len} {kind}: {end:?}");
    }
}

#[tokio::test]
async fn a_request_above_the_limit_is_not_sent() {
    let pair = pair_of(Arc::default()).await;
    let failed = pair.mux.call(frame("", vec![0; (2 << 20) + 1])).await;
    assert!(
        matches!(failed, Err(MuxError::TooLong { .. })),
        "{failed:?}"
    );
    let longest = frame("", vec![0; 2 << 20]);
    assert_eq!(pair.mux.call(longest.clone()).await.unwrap(), longest);
}

#[tokio::test]
async fn an_answer_that_nobody_asked_for_ends_the_connection() {
    let (mux, mut far) = raw_server().await;
    far.write_all(&encoded(&frame("x", ""), 1, FrameKind::Answer))
        .await
        .unwrap();
    let end = mux.ended().await;
    assert!(
        matches!(end, MuxEnd::Protocol(FrameError::NotAsked(1))),
        "{end:?}"
    );
}

#[tokio::test]
async fn all_calls_under_way_fail_when_the_connection_ends() {
    let (mux, mut far) = raw_server().await;
    let calls: Vec<_> = (0..20)
        .map(|_| {
            let mux = mux.clone();
            tokio::spawn(async move { mux.call(frame("x", "")).await })
        })
        .collect();
    let mut some = [0; 20];
    far.read_exact(&mut some).await.unwrap();
    drop(far);
    for call in calls {
        let failed = call.await.unwrap();
        let is_end = matches!(failed, Err(MuxError::Ended(MuxEnd::Closed | MuxEnd::Io(_))));
        assert!(is_end, "{failed:?}");
    }
    assert_eq!(mux.under_way(), 0);
}

#[tokio::test]
async fn a_server_that_stops_answers_what_is_under_way() {
    let (echo, release) = Echo::gated();
    let pair = pair_of(Arc::clone(&echo)).await;
    let slow = tokio::spawn({
        let mux = pair.mux.clone();
        async move { mux.call(frame("wait", "")).await }
    });
    echo.started.notified().await;
    pair.trigger.trigger();
    assert!(matches!(pair.mux.ended().await, MuxEnd::Leaving));
    let refused = pair.mux.call(frame("quick", "")).await;
    assert!(
        matches!(refused, Err(MuxError::Ended(MuxEnd::Leaving))),
        "{refused:?}"
    );
    release.add_permits(1);
    assert_eq!(slow.await.unwrap().unwrap(), frame("wait", ""));
    assert!(matches!(pair.server.await.unwrap(), MuxEnd::Stopping));
}

#[tokio::test]
async fn a_request_that_is_never_answered_fails_with_the_connection() {
    let pair = pair_of(Arc::default()).await;
    let failed = pair.mux.call(frame("panic", "")).await;
    assert!(matches!(failed, Err(MuxError::Ended(_))), "{failed:?}");
    assert!(matches!(pair.server.await.unwrap(), MuxEnd::Unanswered));
}

#[tokio::test]
async fn a_client_that_goes_does_not_interrupt_what_it_asked_for() {
    let (echo, release) = Echo::gated();
    let Pair {
        mux,
        server,
        trigger: _running,
    } = pair_of(Arc::clone(&echo)).await;
    let call = tokio::spawn({
        let mux = mux.clone();
        async move { mux.call(frame("wait", "")).await }
    });
    echo.started.notified().await;
    call.abort();
    drop(mux);
    let _ = call.await;
    release.add_permits(1);
    assert!(matches!(server.await.unwrap(), MuxEnd::Closed));
    assert_eq!(echo.finished.load(Ordering::SeqCst), 1);
}

#[tokio::test]
async fn frames_arrive_in_any_fragments() {
    let (mut near, server, trigger) = raw_client(Arc::default()).await;
    let request = frame("head", "payload");
    for byte in encoded(&request, 77, FrameKind::Request) {
        near.write_all(&[byte]).await.unwrap();
        tokio::task::yield_now().await;
    }
    let expected = encoded(&request, 77, FrameKind::Answer);
    let mut answer = vec![0; expected.len()];
    near.read_exact(&mut answer).await.unwrap();
    assert_eq!(answer, expected);
    drop((near, trigger));
    server.await.unwrap();
}
