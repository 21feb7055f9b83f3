//! Compiles the freestanding init (`src/tiny_init`) that skiff carries inside.
#![expect(
    clippy::disallowed_methods,
    reason = "cargo speaks to build scripts through the environment"
)]

use std::env;
use std::ffi::OsString;
use std::path::PathBuf;
use std::process::Command;

const SOURCE: &str = "src/tiny_init/main.rs";

/// Small, without unwinding, at a fixed address.
const CODEGEN: [&str; 8] = [
    "panic=abort",
    "opt-level=s",
    "strip=symbols",
    "relocation-model=static",
    "overflow-checks=off",
    "debug-assertions=off",
    "codegen-units=1",
    "lto=fat",
];

/// No library, no start files, no loader, no padding between segments.
const LINK: [&str; 7] = [
    "-nostdlib",
    "-nostartfiles",
    "-static",
    "-no-pie",
    "-Wl,--gc-sections",
    "-Wl,--build-id=none",
    "-Wl,-z,noseparate-code",
];

fn main() -> Result<(), String> {
    println!("cargo::rerun-if-changed={SOURCE}");
    println!("cargo::rerun-if-changed=build.rs");
    let output = PathBuf::from(variable("OUT_DIR")?).join("tiny-init");
    let mut rustc = Command::new(variable("RUSTC")?);
    rustc
        .args(["--edition", "2024", "--crate-name", "tiny_init"])
        .args(["--crate-type", "bin", "--target"])
        .arg(variable("TARGET")?);
    for option in CODEGEN {
        rustc.args(["-C", option]);
    }
    for option in LINK {
        rustc.arg("-C").arg(format!("link-arg={option}"));
    }
    if let Some(linker) = env::var_os("RUSTC_LINKER") {
        let mut option = OsString::from("linker=");
        option.push(linker);
        rustc.arg("-C").arg(option);
    }
    let status = rustc
        .arg("-o")
        .arg(&output)
        .arg(SOURCE)
        .status()
        .map_err(|error| format!("cannot run rustc: {error}"))?;
    if status.success() {
        Ok(())
    } else {
        Err(format!(
            "cannot compile {SOURCE}: rustc ended with {status}"
        ))
    }
}

/// What cargo always sets for a build script.
fn variable(name: &str) -> Result<OsString, String> {
    env::var_os(name).ok_or_else(|| format!("{name} is not set: cargo runs this program"))
}
