//! Asking running work to stop, once, from a signal handler's task.

use tokio::sync::watch;

/// The side that asks.
#[derive(Debug)]
pub struct CancelHandle(watch::Sender<bool>);

/// The side that is asked; cheap to clone.
#[derive(Debug, Clone)]
pub struct Cancel(watch::Receiver<bool>);

/// Makes a connected pair.
pub fn cancel_pair() -> (CancelHandle, Cancel) {
    let (sender, receiver) = watch::channel(false);
    (CancelHandle(sender), Cancel(receiver))
}

impl CancelHandle {
    /// Asks; asking twice is the same as once.
    pub fn cancel(&self) {
        self.0.send_replace(true);
    }
}

impl Cancel {
    /// One that is never asked.
    pub fn never() -> Self {
        // A receiver keeps its last value after the sender is gone.
        cancel_pair().1
    }

    /// Whether it was asked.
    pub fn is_cancelled(&self) -> bool {
        *self.0.borrow()
    }

    /// Resolves when it is asked; pends for ever where nobody can ask any more.
    pub async fn cancelled(&self) {
        let mut receiver = self.0.clone();
        if receiver.wait_for(|asked| *asked).await.is_err() {
            std::future::pending::<()>().await;
        }
    }
}
