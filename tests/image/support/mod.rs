//! What the tests stand on.

pub(crate) mod events;
pub(crate) mod http;
pub(crate) mod image;
pub(crate) mod registry;
pub(crate) mod server;
pub(crate) mod tls;
pub(crate) mod tree;
pub(crate) mod world;

/// The path of a program, or a failure that says how to get it.
pub(crate) fn program(name: &str, package: &str) -> std::path::PathBuf {
    ["/usr/bin", "/bin", "/usr/sbin", "/sbin", "/usr/local/bin"]
        .iter()
        .map(|folder| std::path::Path::new(folder).join(name))
        .find(|path| path.exists())
        .unwrap_or_else(|| {
            panic!("`{name}` is missing; get it with: sudo apt-get install {package}")
        })
}
