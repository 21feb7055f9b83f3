//! What runs commands is started while the first step that is not cached is carried out:
//! a command that stands upon it is not cached either, as a rule.

use std::sync::atomic::{AtomicBool, Ordering};

use tokio::sync::Notify;

use super::builder::Builder;
use crate::build::graph::{Kind, Network, Plan};

/// Begins once, if at all.
#[derive(Debug, Default)]
pub(super) struct WarmUp {
    told: Notify,
    is_over: AtomicBool,
}

impl WarmUp {
    /// A step is carried out.
    pub(super) fn begin(&self) {
        self.told.notify_one();
    }

    /// Nothing more is carried out.
    pub(super) fn let_go(&self) {
        self.is_over.store(true, Ordering::Relaxed);
        self.told.notify_one();
    }

    /// Waits for either, and starts what the plan's commands need. What fails is told by
    /// the step that needs it.
    pub(super) async fn run(&self, builder: &Builder<'_>, plan: &Plan) {
        self.told.notified().await;
        let connects = plan
            .steps
            .iter()
            .any(|step| matches!(&step.kind, Kind::Run(run) if run.network == Network::Default));
        if connects && !self.is_over.load(Ordering::Relaxed) {
            builder.worker.network().await.ok();
        }
    }
}
