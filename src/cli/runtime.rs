//! The asynchronous runtime of those commands that wait for something.

use super::error::CliError;

/// Runs a command's future to its end on this thread.
///
/// # Errors
/// The kernel gives no epoll instance, or what the future returns.
pub fn block_on<T>(future: impl Future<Output = Result<T, CliError>>) -> Result<T, CliError> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|error| CliError::new(format!("cannot start the event loop: {error}")))?;
    let result = runtime.block_on(future);
    // A thread may still be blocked in a read of standard input.
    runtime.shutdown_background();
    result
}
