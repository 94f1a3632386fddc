//! A thread with a runtime of its own, for tasks that hand work to each other all the time: on one thread a hand-over is a
//! function call, between two it is a wake-up by the system. Such tasks may wait for a disk: they hold up nobody but each other.

use std::future::Future;
use std::sync::mpsc;

use cairn_types::{Error, Result};
use tokio::runtime::{Builder, Handle, Runtime};
use tokio::sync::oneshot;
use tokio::task::JoinHandle;
use tracing::Instrument;

/// Stack of a thread that plans, runs or records what users wrote: expressions nest, and walks over them recurse.
pub const STACK_BYTES: usize = 8 << 20;

/// A thread on which tasks run. It ends, with the tasks that are left, soon after this is dropped.
#[derive(Debug)]
pub struct OwnThread {
    runtime: Handle,
    /// Never sent: the thread ends when it is dropped.
    alive: oneshot::Sender<()>,
}

impl OwnThread {
    /// Waits for the new thread: call it where blocking is allowed.
    ///
    /// # Errors
    /// `Unavailable` when the system gives no thread.
    pub fn start(name: &str) -> Result<Self> {
        let fail = |e: std::io::Error| Error::unavailable(format!("cannot start the thread '{name}': {e}"));
        let (alive, ends) = oneshot::channel();
        let (tell, told) = mpsc::channel();
        let thread = std::thread::Builder::new().name(name.to_owned()).stack_size(STACK_BYTES);
        thread.spawn(move || run(&tell, ends)).map_err(fail)?;
        let runtime = told.recv().map_err(|e| fail(std::io::Error::other(e)))?;
        Ok(Self { runtime: runtime.map_err(fail)?, alive })
    }

    /// Runs `task` on the thread. `name` stands in the logs.
    pub fn spawn<F>(&self, name: &'static str, task: F) -> JoinHandle<F::Output>
    where
        F: Future + Send + 'static,
        F::Output: Send + 'static,
    {
        self.runtime.spawn(task.instrument(tracing::info_span!("task", name)))
    }

    /// Ends the thread when it has carried `last` out.
    pub fn end_after(self, last: impl Future<Output = ()> + Send + 'static) {
        let Self { runtime, alive } = self;
        runtime.spawn(async move {
            last.await;
            drop(alive);
        });
    }
}

/// The thread: its runtime is made and dropped on it, because another runtime's thread must not drop one.
fn run(tell: &mpsc::Sender<std::io::Result<Handle>>, ends: oneshot::Receiver<()>) {
    let runtime = Builder::new_current_thread().enable_all().thread_stack_size(STACK_BYTES).build();
    let told = tell.send(runtime.as_ref().map(Runtime::handle).cloned().map_err(|e| e.kind().into()));
    if let (Ok(runtime), Ok(())) = (runtime, told) {
        let _dropped = runtime.block_on(ends);
        // Without waiting for what blocks: that can be a disk that does not answer.
        runtime.shutdown_background();
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    const SOON: Duration = Duration::from_secs(20);

    #[test]
    fn it_runs_tasks_until_the_last_one() {
        let thread = OwnThread::start("mine").unwrap();
        let (send, told) = mpsc::channel();
        let tell = send.clone();
        thread.spawn("first", async move { tell.send(std::thread::current().name().map(str::to_owned)) });
        assert_eq!(told.recv_timeout(SOON).unwrap().as_deref(), Some("mine"));
        thread.end_after(async move {
            tokio::time::sleep(Duration::from_millis(10)).await;
            _ = send.send(Some("last".to_owned()));
        });
        assert_eq!(told.recv_timeout(SOON).unwrap().as_deref(), Some("last"));
        assert_eq!(told.recv_timeout(SOON), Err(mpsc::RecvTimeoutError::Disconnected));
    }

    #[test]
    fn it_ends_when_it_is_dropped() {
        let thread = OwnThread::start("mine").unwrap();
        let (send, told) = mpsc::channel::<()>();
        thread.spawn("endless", async move {
            std::future::pending::<()>().await;
            drop(send);
        });
        assert_eq!(told.recv_timeout(Duration::from_millis(20)), Err(mpsc::RecvTimeoutError::Timeout));
        drop(thread);
        assert_eq!(told.recv_timeout(SOON), Err(mpsc::RecvTimeoutError::Disconnected), "the task went");
    }
}
