//! journald's own barrier: it answers when everything that had been sent to it is in the journal.
//!
//! `Synchronize` of `io.systemd.Journal`, a Varlink interface (<https://varlink.org>). Before systemd 258 it is answered
//! to root alone (`vl_method_synchronize`, journald-server.c).

use std::io;
use std::path::Path;

use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::UnixStream;

/// Where journald takes Varlink calls.
const SOCKET: &str = "/run/systemd/journal/io.systemd.journal";
/// A call and its answer end with this.
const END: u8 = 0;
const CALL: &[u8] = b"{\"method\":\"io.systemd.Journal.Synchronize\",\"parameters\":{}}\0";
/// The longest answer that is read, bytes.
const LONGEST: u64 = 64 * 1024;

/// Waits until the journal has what journald was sent before the call. It is for the caller to bound the wait.
///
/// # Errors
/// Where journald cannot be asked, or refuses, as it does for all users but root before systemd 258.
pub(crate) async fn synchronize() -> io::Result<()> {
    at(Path::new(SOCKET)).await
}

async fn at(socket: &Path) -> io::Result<()> {
    let mut connection = UnixStream::connect(socket).await?;
    connection.write_all(CALL).await?;
    let mut answer = Vec::new();
    BufReader::new(connection.take(LONGEST)).read_until(END, &mut answer).await?;
    match answer.strip_suffix(&[END]).map(serde_json::from_slice::<serde_json::Value>) {
        Some(Ok(answer)) => match answer.get("error") {
            None => Ok(()),
            Some(error) => Err(io::Error::other(format!("journald refuses to synchronize: {error}"))),
        },
        _ => Err(io::Error::from(io::ErrorKind::UnexpectedEof)),
    }
}

#[cfg(test)]
mod tests {
    use tokio::net::UnixListener;

    use super::*;

    async fn answered_with(answer: &'static [u8]) -> io::Result<()> {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("journald");
        let journald = UnixListener::bind(&path).unwrap();
        let served = tokio::spawn(async move {
            let (stream, _) = journald.accept().await.unwrap();
            let mut stream = BufReader::new(stream);
            let mut call = Vec::new();
            stream.read_until(END, &mut call).await.unwrap();
            assert_eq!(call, CALL);
            stream.get_mut().write_all(answer).await.unwrap();
        });
        let answered = at(&path).await;
        served.await.unwrap();
        answered
    }

    #[tokio::test]
    async fn an_answer_says_that_it_is_done_and_an_error_that_it_is_not() {
        answered_with(b"{\"parameters\":{}}\0").await.unwrap();
        let refused =
            answered_with(b"{\"error\":\"org.varlink.service.PermissionDenied\"}\0").await.unwrap_err();
        assert!(refused.to_string().contains("PermissionDenied"), "{refused}");
    }

    #[tokio::test]
    async fn an_answer_that_breaks_off_is_none() {
        assert!(answered_with(b"{\"parameters\":").await.is_err());
        assert!(answered_with(b"").await.is_err());
    }
}
