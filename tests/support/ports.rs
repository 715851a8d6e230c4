//! Ports for programs that are named before they run, or that come back to where they were.
//!
//! A port that the system chose is free again once nobody listens there: the next socket that asks for
//! none may get it, and so may the near end of any connection. What is given here lies below the range
//! that systems choose from (Linux: 32,768 and up), and is given once in a process.

use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::sync::atomic::{AtomicU32, Ordering};

const FIRST: u32 = 10_000;
const COUNT: u32 = 22_000;

/// An address with a port that nobody has, now or while its owner is down.
pub(crate) fn free(ip: Ipv4Addr) -> SocketAddr {
    static GIVEN: AtomicU32 = AtomicU32::new(0);
    // Other processes that do the same begin elsewhere.
    let begin = std::process::id().wrapping_mul(97);
    for _ in 0..COUNT {
        let given = GIVEN.fetch_add(1, Ordering::Relaxed);
        let port = FIRST + begin.wrapping_add(given) % COUNT;
        let address = SocketAddr::from((ip, u16::try_from(port).unwrap()));
        if TcpListener::bind(address).is_ok() {
            return address;
        }
    }
    panic!("no port of {ip} is free");
}
