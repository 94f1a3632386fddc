//! Small files of a load that are still on their way while its manifests are made: what is made durable side by side takes
//! half the time, and on S3 half the round trips. All are waited for before a commit, and before a clean-up.

use cairn_env::Env;
use cairn_types::{Error, Result};
use parking_lot::Mutex;
use tokio::task::JoinHandle;

/// Files of one load that may be under way; more wait for each other, as large ones do.
const FILES_MAX: usize = 8;
const FILE_BYTES_MAX: usize = 1 << 20;

/// The files of one load that are under way.
#[derive(Debug, Default)]
pub(crate) struct Uploads(Mutex<Vec<JoinHandle<Result<()>>>>);

impl Uploads {
    /// Carries `upload` of a file of `bytes` out, behind the caller's back where that is allowed.
    ///
    /// # Errors
    /// Those of `upload`, unless [`Uploads::finish`] is to tell them.
    pub(crate) async fn run(
        &self,
        env: &Env,
        bytes: usize,
        upload: impl Future<Output = Result<()>> + Send + 'static,
    ) -> Result<()> {
        if bytes > FILE_BYTES_MAX {
            return upload.await;
        }
        {
            let mut under_way = self.0.lock();
            if under_way.len() < FILES_MAX {
                under_way.push(env.spawn("load.upload", upload));
                return Ok(());
            }
        }
        upload.await
    }

    /// Waits until no file is under way, also after an error: no file may appear after a clean-up.
    ///
    /// # Errors
    /// The first that an upload met.
    pub(crate) async fn finish(&self) -> Result<()> {
        let under_way = std::mem::take(&mut *self.0.lock());
        let mut outcome = Ok(());
        for upload in under_way {
            let done = upload.await.map_err(|e| Error::internal(format!("writing a segment failed: {e}")));
            outcome = outcome.and(done.flatten());
        }
        outcome
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::sync::atomic::{AtomicUsize, Ordering};

    use cairn_env::Failpoints;

    use super::*;

    #[tokio::test]
    async fn all_are_waited_for_and_the_first_error_is_told() {
        let env = Env::real(Failpoints::default());
        let (uploads, done) = (Uploads::default(), Arc::new(AtomicUsize::new(0)));
        for number in 0..20 {
            let (env_of_it, done_of_it) = (env.clone(), Arc::clone(&done));
            let upload = async move {
                env_of_it.sleep_ms(20 - number).await;
                done_of_it.fetch_add(1, Ordering::Relaxed);
                match number {
                    2 | 3 => Err(Error::unavailable(format!("file {number}"))),
                    _ => Ok(()),
                }
            };
            uploads.run(&env, 10, upload).await.unwrap();
            let in_background = usize::try_from(number).unwrap() + 1 - done.load(Ordering::Relaxed);
            assert!(in_background <= FILES_MAX);
        }
        assert_eq!(uploads.finish().await.unwrap_err().message(), "file 2");
        assert_eq!(done.load(Ordering::Relaxed), 20);
        uploads.finish().await.unwrap();
    }

    #[tokio::test]
    async fn a_large_file_is_waited_for_at_once() {
        let uploads = Uploads::default();
        let failing = async { Err(Error::unavailable("full")) };
        let outcome = uploads.run(&Env::real(Failpoints::default()), FILE_BYTES_MAX + 1, failing).await;
        assert_eq!(outcome.unwrap_err().message(), "full");
    }
}
