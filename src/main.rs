//! The `skiff` program: arguments to exit code, nothing else.

use std::process::ExitCode;

fn main() -> ExitCode {
    skiff::cli::main()
}
