//! What keeps keeper and supervisor alive, counted.

use std::sync::Arc;

use tokio::sync::watch;

/// Counts reasons to go on.
#[derive(Debug, Clone)]
pub(super) struct Counter {
    count: Arc<watch::Sender<usize>>,
}

/// One reason to go on, until it is dropped.
#[derive(Debug)]
pub(super) struct Busy {
    count: Arc<watch::Sender<usize>>,
}

impl Counter {
    /// Begins without a reason.
    pub(super) fn new() -> Self {
        Self {
            count: Arc::new(watch::Sender::new(0)),
        }
    }

    /// Takes one.
    pub(super) fn take(&self) -> Busy {
        self.count.send_modify(|count| *count += 1);
        Busy {
            count: Arc::clone(&self.count),
        }
    }

    /// Whether there is none.
    pub(super) fn is_idle(&self) -> bool {
        *self.count.borrow() == 0
    }

    /// Returns when there is none.
    pub(super) async fn idle(&self) {
        let mut count = self.count.subscribe();
        // The sender lives in `self`.
        count.wait_for(|count| *count == 0).await.map(|_| ()).ok();
    }
}

impl Drop for Busy {
    fn drop(&mut self) {
        self.count.send_modify(|count| *count -= 1);
    }
}
