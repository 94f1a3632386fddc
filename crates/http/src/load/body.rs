//! The body of a load, chunk by chunk.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use axum::body::{Body, BodyDataStream};
use bytes::Bytes;
use cairn_types::{Error, ErrorKind, Result};
use futures::StreamExt as _;
use futures::stream::{self, BoxStream, Stream};

/// The data of a load, as it comes. The next bytes are taken from the network only when they are asked for, so that a
/// slow load slows down its client.
pub struct LoadBody {
    chunks: BodyDataStream,
    idle_timeout: Duration,
    announced_bytes: Option<u64>,
    received_bytes: u64,
    ended: Arc<AtomicBool>,
    failed: Option<Error>,
}

impl LoadBody {
    pub(crate) fn new(body: Body, announced_bytes: Option<u64>, idle_timeout: Duration) -> Self {
        Self {
            chunks: body.into_data_stream(),
            idle_timeout,
            announced_bytes,
            received_bytes: 0,
            ended: Arc::default(),
            failed: None,
        }
    }

    /// A body out of `chunks`, for those who test a backend without a server.
    pub fn from_chunks(chunks: impl Stream<Item = Result<Bytes>> + Send + 'static) -> Self {
        Self::new(Body::from_stream(chunks), None, Duration::MAX)
    }

    /// The next bytes, never none of them; `None` at the end. The first call is what makes a client send that waits
    /// for `100 Continue`.
    ///
    /// # Errors
    /// `Timeout` when the client sent nothing for too long; `Cancelled` when it went away or broke the framing. The
    /// load must be aborted then: every further call gives the same error.
    pub async fn chunk(&mut self) -> Result<Option<Bytes>> {
        if let Some(error) = &self.failed {
            return Err(error.clone());
        }
        let found = self.next().await;
        if let Err(error) = &found {
            self.failed = Some(error.clone());
        }
        found
    }

    /// Bytes given so far.
    #[must_use]
    pub fn received_bytes(&self) -> u64 {
        self.received_bytes
    }

    /// The rest as a stream, which ends after an error.
    #[must_use]
    pub fn into_stream(self) -> BoxStream<'static, Result<Bytes>> {
        stream::unfold(Some(self), |body| async move {
            let mut body = body?;
            match body.chunk().await {
                Ok(Some(chunk)) => Some((Ok(chunk), Some(body))),
                Ok(None) => None,
                Err(error) => Some((Err(error), None)),
            }
        })
        .boxed()
    }

    /// Becomes true when the body was read to its end.
    pub(crate) fn ended(&self) -> Arc<AtomicBool> {
        Arc::clone(&self.ended)
    }

    async fn next(&mut self) -> Result<Option<Bytes>> {
        loop {
            if self.ended.load(Ordering::Acquire) {
                return Ok(None);
            }
            let next = tokio::time::timeout(self.idle_timeout, self.chunks.next()).await;
            match next.map_err(|_| self.idle())? {
                Some(Ok(chunk)) if chunk.is_empty() => {}
                Some(Ok(chunk)) => {
                    self.received_bytes += chunk.len() as u64;
                    return Ok(Some(chunk));
                }
                Some(Err(error)) => return Err(self.broken_off(&error)),
                None if self.announced_bytes.is_some_and(|announced| announced != self.received_bytes) => {
                    return Err(self.broken_off(&"fewer bytes than announced"));
                }
                None => self.ended.store(true, Ordering::Release),
            }
        }
    }

    fn idle(&self) -> Error {
        let seconds = self.idle_timeout.as_secs_f64();
        let bytes = self.received_bytes;
        let message = format!(
            "The client sent nothing for {seconds} s after {bytes} bytes of the body. The load is aborted; send it \
             again under the same label"
        );
        Error::new(ErrorKind::Timeout, message)
    }

    fn broken_off(&self, why: &dyn fmt::Display) -> Error {
        let bytes = self.received_bytes;
        let of = self.announced_bytes.map(|announced| format!(" of {announced}")).unwrap_or_default();
        let message = format!(
            "The body broke off after {bytes}{of} bytes ({why}). The load is aborted; send it again under the same label"
        );
        Error::new(ErrorKind::Cancelled, message)
    }
}

impl fmt::Debug for LoadBody {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("LoadBody")
            .field("announced_bytes", &self.announced_bytes)
            .field("received_bytes", &self.received_bytes)
            .field("failed", &self.failed)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn body(chunks: Vec<&'static str>, announced: Option<u64>) -> LoadBody {
        let chunks = stream::iter(chunks).map(|c| Ok::<_, Error>(Bytes::from(c)));
        LoadBody::new(Body::from_stream(chunks), announced, Duration::from_secs(1))
    }

    #[tokio::test]
    async fn chunks_come_in_order_and_empty_ones_are_skipped() {
        let mut body = body(vec!["ab", "", "c"], Some(3));
        let ended = body.ended();
        assert_eq!(body.chunk().await, Ok(Some(Bytes::from("ab"))));
        assert_eq!(body.chunk().await, Ok(Some(Bytes::from("c"))));
        assert!(!ended.load(Ordering::Acquire));
        assert_eq!(body.chunk().await, Ok(None));
        assert_eq!(body.chunk().await, Ok(None), "the end stays");
        assert!(ended.load(Ordering::Acquire));
        assert_eq!(body.received_bytes(), 3);
    }

    #[tokio::test]
    async fn an_error_stays() {
        let broken = stream::iter([Ok(Bytes::from("ab")), Err(Error::internal("reset"))]);
        let mut body = LoadBody::from_chunks(broken);
        assert!(body.chunk().await.is_ok());
        let error = body.chunk().await.expect_err("broke off");
        assert_eq!(error.kind(), ErrorKind::Cancelled);
        assert_eq!(body.chunk().await, Err(error));
    }

    #[tokio::test]
    async fn a_short_body_is_an_error() {
        let body = body(vec!["ab"], Some(5));
        let all: Vec<_> = body.into_stream().collect().await;
        let kinds: Vec<_> = all.iter().map(|r| r.as_ref().map_err(Error::kind).err()).collect();
        assert_eq!(kinds, [None, Some(ErrorKind::Cancelled)]);
        assert!(all[1].as_ref().expect_err("short").message().contains("2 of 5 bytes"));
    }

    #[tokio::test]
    async fn silence_is_bounded() {
        let silent = Body::from_stream(stream::pending::<Result<Bytes>>());
        let mut body = LoadBody::new(silent, None, Duration::from_millis(20));
        assert_eq!(body.chunk().await.expect_err("idle").kind(), ErrorKind::Timeout);
    }
}
