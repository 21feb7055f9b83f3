//! A network and a mount namespace, a data root and a runtime for one test.

use std::fmt::Write as _;
use std::net::Ipv4Addr;
use std::path::{Path, PathBuf};

use fs_err as fs;
use netlink_packet_core::{NLM_F_ACK, NLM_F_REQUEST, NetlinkMessage, NetlinkPayload};
use netlink_packet_route::RouteNetlinkMessage;
use netlink_packet_route::link::{LinkFlags, LinkMessage};
use netlink_sys::{Socket, SocketAddr, protocols::NETLINK_ROUTE};
use nix::mount::{MsFlags, mount};
use nix::sched::{CloneFlags, unshare};
use skiff::event::Silent;
use skiff::image::{Access, AccessOptions, Image, ImageError, PullRequest, Reference, Store, pull};
use skiff::state::Layout;

/// What a test has for itself.
pub(crate) struct World {
    folder: tempfile::TempDir,
    /// Its store.
    pub(crate) store: Store,
    runtime: tokio::runtime::Runtime,
}

/// Runs a test on a thread of its own, in namespaces of its own.
pub(crate) fn isolated(test: impl FnOnce(&World) + Send) {
    std::thread::scope(|scope| {
        let thread = scope.spawn(|| {
            unshare(CloneFlags::CLONE_NEWNET | CloneFlags::CLONE_NEWNS)
                .expect("tests of images need root: run them with sudo");
            let none: Option<&str> = None;
            mount(none, "/", none, MsFlags::MS_REC | MsFlags::MS_PRIVATE, none).unwrap();
            raise_loopback();
            test(&World::new());
        });
        if let Err(panic) = thread.join() {
            std::panic::resume_unwind(panic);
        }
    });
}

impl World {
    /// In the machine's own namespaces.
    pub(crate) fn here() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let store = open(folder.path());
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .unwrap();
        Self {
            folder,
            store,
            runtime,
        }
    }

    fn new() -> Self {
        let world = Self::here();
        // Nothing of the machine's own names and resolvers.
        world.replace("/etc/resolv.conf", "nameserver 127.0.0.53\n");
        world.replace("/etc/hosts", "127.0.0.1 localhost\n");
        world
    }

    /// A path in the test's folder.
    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// The same store as another process would open it.
    pub(crate) fn another_store(&self) -> Store {
        open(self.folder.path())
    }

    /// A store with nothing in it.
    pub(crate) fn fresh_store(&self) -> Store {
        open(&tempfile::tempdir_in(self.folder.path()).unwrap().keep())
    }

    /// Gives a file of the machine other content, in this namespace.
    pub(crate) fn replace(&self, path: &str, content: &str) {
        let name = path.replace('/', "_");
        let own = self.path(&name);
        let mounted = own.exists();
        fs::write(&own, content).unwrap();
        if !mounted {
            self.bind(&own, Path::new(path));
        }
    }

    /// Mounts a file or folder over another, in this namespace.
    pub(crate) fn bind(&self, from: &Path, to: &Path) {
        assert!(from.starts_with(self.folder.path()));
        let none: Option<&str> = None;
        mount(Some(from), to, none, MsFlags::MS_BIND, none).unwrap();
    }

    /// Names that lead to addresses of this machine.
    pub(crate) fn hosts(&self, names: &[(&str, Ipv4Addr)]) {
        let mut text = "127.0.0.1 localhost\n".to_owned();
        for (name, address) in names {
            writeln!(text, "{address} {name}").unwrap();
        }
        self.replace("/etc/hosts", &text);
    }

    /// Runs async code on the test's own thread.
    pub(crate) fn run<T>(&self, work: impl Future<Output = T>) -> T {
        self.runtime.block_on(work)
    }

    /// Pulls without credentials and proxies.
    pub(crate) fn pull(&self, reference: &str) -> Result<Image, ImageError> {
        self.pull_with(reference, AccessOptions::default())
    }

    /// Pulls.
    pub(crate) fn pull_with(
        &self,
        reference: &str,
        options: AccessOptions,
    ) -> Result<Image, ImageError> {
        self.run(pull(&self.store, &request(reference, options), &Silent))
    }

    /// The text of a file in a layer of an image, counted from below.
    pub(crate) fn read(&self, image: &Image, layer: usize, path: &str) -> String {
        fs::read_to_string(self.store.layer_dir(&image.layers[layer]).join(path)).unwrap()
    }

    /// That a failed pull left no image and no layer.
    pub(crate) fn assert_empty(&self) {
        assert_eq!(self.store.list().unwrap(), []);
        for folder in ["layers", "tmp"] {
            let path = self.path("data/images").join(folder);
            let left: Vec<_> = match fs::read_dir(&path) {
                Ok(entries) => entries.map(|e| e.unwrap().path()).collect(),
                Err(_) => Vec::new(),
            };
            assert!(left.is_empty(), "left over: {left:?}");
        }
    }
}

/// A request for the host's platform.
pub(crate) fn request(reference: &str, options: AccessOptions) -> PullRequest {
    PullRequest {
        reference: Reference::parse(reference).unwrap(),
        platform: None,
        access: Access::new(options),
        label: reference.to_owned(),
    }
}

fn open(folder: &Path) -> Store {
    Store::open(&Layout::new(folder.join("data"), folder.join("run")))
}

/// A new network namespace's loopback device is down.
fn raise_loopback() {
    let mut link = LinkMessage::default();
    link.header.index = 1;
    link.header.flags = LinkFlags::Up;
    link.header.change_mask = LinkFlags::Up;
    let mut message = NetlinkMessage::from(RouteNetlinkMessage::SetLink(link));
    message.header.flags = NLM_F_REQUEST | NLM_F_ACK;
    message.finalize();
    let mut bytes = vec![0; message.buffer_len()];
    message.serialize(&mut bytes);
    let mut socket = Socket::new(NETLINK_ROUTE).unwrap();
    socket.bind_auto().unwrap();
    socket.connect(&SocketAddr::new(0, 0)).unwrap();
    socket.send(&bytes, 0).unwrap();
    let (answer, _) = socket.recv_from_full().unwrap();
    let answer = NetlinkMessage::<RouteNetlinkMessage>::deserialize(&answer).unwrap();
    let NetlinkPayload::Error(error) = answer.payload else {
        panic!("an acknowledgement was expected, not {answer:?}");
    };
    assert_eq!(error.raw_code(), 0, "loopback stays down");
}
