//! How the user's registries are reached from the command line.

use super::sudo;
use crate::env;
use crate::image::{Access, AccessOptions, SettingsFiles};

/// Access as the environment and the machine's files say; under sudo with the
/// configuration, the credentials and the helpers of the user who called it.
pub fn access() -> Access {
    let account = sudo::invoking_user();
    let home = account
        .as_ref()
        .and_then(|account| account.home.clone())
        .or_else(|| env::read_path(env::HOME));
    Access::new(AccessOptions {
        docker_config: sudo::docker_config(),
        account,
        files: SettingsFiles::of_machine(home.as_deref()),
        ..AccessOptions::from_env()
    })
}
