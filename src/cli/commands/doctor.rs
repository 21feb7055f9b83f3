//! `skiff doctor`.

use clap::Args;

/// Flags of `skiff doctor`.
#[derive(Debug, Args)]
pub struct DoctorArgs {}
