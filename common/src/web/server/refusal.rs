//! Tells a connection over the limit so, instead of just closing it.

use std::time::Duration;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::time::timeout;

/// The whole answer; written without waiting for a request.
const ANSWER: &[u8] = b"HTTP/1.1 503 Service Unavailable\r\n\
    Content-Type: text/plain; charset=utf-8\r\n\
    Content-Length: 54\r\n\
    Retry-After: 2\r\n\
    Connection: close\r\n\
    \r\n\
    too many connections to this server: try again later.\n";

/// Time for the client to take the answer and hang up.
const PATIENCE: Duration = Duration::from_secs(1);
/// Bytes of the refused request that are read.
const REQUEST_LEN_MAX: usize = 16 * 1024;

/// Answers 503 and ends the connection.
///
/// Closing with unread bytes in the socket would reset the connection and might destroy the answer,
/// so our direction ends first and the request is read, for a moment.
pub(super) async fn too_many(mut stream: TcpStream) {
    let farewell = async {
        stream.write_all(ANSWER).await?;
        stream.shutdown().await?;
        let mut scratch = [0; 1024];
        let mut read = 0;
        while read < REQUEST_LEN_MAX {
            match stream.read(&mut scratch).await? {
                0 => break,
                len => read += len,
            }
        }
        Ok::<_, std::io::Error>(())
    };
    // Whether it worked is the client's concern: it is refused either way.
    let _ = timeout(PATIENCE, farewell).await;
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_answer_has_the_length_it_says() {
        let text = std::str::from_utf8(ANSWER).unwrap();
        let (head, body) = text.split_once("\r\n\r\n").unwrap();
        assert!(head.contains(&format!("Content-Length: {}\r\n", body.len())));
    }
}
