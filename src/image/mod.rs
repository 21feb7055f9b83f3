//! Images: references, registry client, content store, layers.
//!
//! ```text
//! pull ─┬─> registry   documents and blobs over HTTP
//!       ├─> unpack     a layer's bytes, as they come, to a folder
//! load ─┤
//!       └─> store      what is on disk: blobs, layers, index
//! ```
//!
//! Knows nothing of Compose and nothing of containers: it gives an [`Image`]
//! (typed config, diff-ids) and, for each diff-id, a folder that overlayfs can
//! take as a lower directory. Follows the OCI image and distribution
//! specifications 1.1 and what Docker does around them.

pub(crate) mod artifact;
pub mod config;
pub mod digest;
mod error;
mod fetch;
mod layout;
mod load;
pub mod platform;
pub mod policy;
mod progress;
mod pull;
mod push;
pub mod reference;
mod registry;
mod save;
pub mod store;
pub mod toolbox;
mod unpack;

pub use artifact::{FolderName, Place};
pub use config::{ConfigFile, Healthcheck, ImageConfig};
pub use digest::{Digest, DigestError};
pub use error::ImageError;
pub(crate) use layout::BLOBS;
pub use layout::load_layout;
pub use load::{LoadSource, load, load_for};
pub use platform::Platform;
pub use policy::{PullDecision, PullPolicy};
pub use pull::{KEPT_OF_A_PULL, PullRequest, pull, resolve};
pub use push::{Packing, PushRequest, Pushed, push};
pub use reference::Reference;
pub use registry::{
    Access, AccessOptions, Account, FetchError, Fetched, Keeper, Reason, Server, SettingsFiles,
    Validators, login, login_again, logout, shown_address,
};
pub use save::save;
pub(crate) use save::{save_image, save_layout};
pub use store::{Collected, Image, InUse, LayerCommit, Removed, Store, Usage};
pub use toolbox::{ensure_toolbox, find_toolbox};
pub(crate) use unpack::unpack_archive;

/// Writing archives.
pub(crate) mod tar {
    pub(crate) use super::unpack::header::{END, Header, Record, encode, padding, xattr_record};
    pub(crate) use super::unpack::xattrs;
}
