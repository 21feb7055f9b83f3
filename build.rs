//! Compiles the freestanding init (`src/tiny_init`) that skiff carries inside.

use std::env;
use std::path::PathBuf;
use std::process::Command;

const SOURCE: &str = "src/tiny_init/main.rs";

/// No library, no start files, no loader, one page of headers.
const LINK: [&str; 7] = [
    "-nostdlib",
    "-nostartfiles",
    "-static",
    "-no-pie",
    "-Wl,--gc-sections",
    "-Wl,--build-id=none",
    "-Wl,-z,noseparate-code",
];

fn main() {
    println!("cargo::rerun-if-changed={SOURCE}");
    println!("cargo::rerun-if-changed=build.rs");
    let variable = |name: &str| {
        env::var_os(name).unwrap_or_else(|| panic!("cargo sets {name} for build scripts"))
    };
    let output = PathBuf::from(variable("OUT_DIR")).join("tiny-init");
    let mut rustc = Command::new(variable("RUSTC"));
    rustc
        .args([
            "--edition",
            "2024",
            "--crate-name",
            "tiny_init",
            "--crate-type",
            "bin",
        ])
        .arg("--target")
        .arg(variable("TARGET"))
        .args([
            "-C",
            "panic=abort",
            "-C",
            "opt-level=s",
            "-C",
            "strip=symbols",
        ])
        .args(["-C", "relocation-model=static", "-C", "overflow-checks=off"])
        .args([
            "-C",
            "debug-assertions=off",
            "-C",
            "codegen-units=1",
            "-C",
            "lto=fat",
        ])
        .args(
            LINK.iter()
                .flat_map(|argument| ["-C".to_owned(), format!("link-arg={argument}")]),
        )
        .arg("-o")
        .arg(&output)
        .arg(SOURCE);
    if let Some(linker) = env::var_os("RUSTC_LINKER") {
        let mut option = std::ffi::OsString::from("linker=");
        option.push(linker);
        rustc.arg("-C").arg(option);
    }
    let status = rustc
        .status()
        .unwrap_or_else(|error| panic!("cannot run rustc: {error}"));
    assert!(
        status.success(),
        "cannot compile {SOURCE}: rustc ended with {status}"
    );
}
