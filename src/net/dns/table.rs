//! Names of containers, from the endpoint records under the run root.
//!
//! The table is brought up to date before each answer, by reading what
//! inotify(7) has to tell by then: one system call where nothing happened. So an
//! answer is never older than the records, and nothing runs in between.

use std::collections::HashMap;
use std::ffi::OsStr;
use std::io;
use std::mem::MaybeUninit;
use std::net::IpAddr;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};

use fs_err as fs;
use rustix::fs::inotify::{self, CreateFlags, ReadFlags, WatchFlags};
use rustix::io::Errno;

use crate::net::spec::Endpoint;
use crate::state::atomic::read_json;
use crate::state::{ContainerId, Layout, NetworkId};

/// What the table says of a name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Found {
    /// Addresses of all who have the name, of both families.
    Addresses(Vec<IpAddr>),
    /// Nobody whom the container can reach has it.
    Unknown,
}

/// All names on all networks of a run root.
///
/// One serves all containers of a supervisor.
#[derive(Debug)]
pub struct NameTable {
    state: Mutex<State>,
    /// Counts answers, so that replicas take turns as the first.
    turn: AtomicUsize,
}

#[derive(Debug)]
struct State {
    root: PathBuf,
    inotify: OwnedFd,
    watches: HashMap<i32, Watch>,
    networks: HashMap<NetworkId, HashMap<ContainerId, Endpoint>>,
}

/// What a watch is on.
#[derive(Debug, Clone)]
enum Watch {
    /// The folder of all networks.
    Root,
    /// One network's folder.
    Network(NetworkId),
    /// Its folder of endpoints.
    Endpoints(NetworkId),
}

impl NameTable {
    /// Opens the table of this run root.
    ///
    /// # Errors
    /// inotify or the records fail.
    pub fn open(layout: &Layout) -> io::Result<Self> {
        let root = layout.run_networks();
        fs::create_dir_all(&root)?;
        let inotify = inotify::init(CreateFlags::CLOEXEC | CreateFlags::NONBLOCK)?;
        let mut state = State {
            root,
            inotify,
            watches: HashMap::new(),
            networks: HashMap::new(),
        };
        state.load()?;
        Ok(Self {
            state: Mutex::new(state),
            turn: AtomicUsize::new(0),
        })
    }

    /// Addresses by a name that a container asks for, those of replicas in turn.
    pub(super) fn addresses(&self, container: &ContainerId, name: &str) -> io::Result<Found> {
        let mut found = self.read(|state| state.addresses(container, name))?;
        if let Found::Addresses(addresses) = &mut found
            && addresses.len() > 1
        {
            let turn = self.turn.fetch_add(1, Ordering::Relaxed) % addresses.len();
            addresses.rotate_left(turn);
        }
        Ok(found)
    }

    /// `name.network` of an address that a container can reach.
    pub(super) fn name(
        &self,
        container: &ContainerId,
        address: IpAddr,
    ) -> io::Result<Option<String>> {
        self.read(|state| state.name(container, address))
    }

    /// True where a container has a way out, and so may ask for foreign names.
    pub(super) fn reaches_out(&self, container: &ContainerId) -> io::Result<bool> {
        self.read(|state| {
            state
                .presence(container)
                .iter()
                .any(|(_, endpoint)| !endpoint.internal)
        })
    }

    fn read<T>(&self, look: impl FnOnce(&State) -> T) -> io::Result<T> {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        state.catch_up()?;
        Ok(look(&state))
    }
}

impl State {
    /// Reads everything, from nothing.
    fn load(&mut self) -> io::Result<()> {
        self.watches.clear();
        self.networks.clear();
        let flags = WatchFlags::CREATE | WatchFlags::MOVED_TO | WatchFlags::ONLYDIR;
        let watch = inotify::add_watch(&self.inotify, &self.root, flags)?;
        self.watches.insert(watch, Watch::Root);
        for entry in fs::read_dir(&self.root)? {
            let name = entry?.file_name();
            self.add_network(&name)?;
        }
        Ok(())
    }

    fn add_network(&mut self, name: &OsStr) -> io::Result<()> {
        let Some(id) = name.to_str().and_then(NetworkId::parse) else {
            return Ok(());
        };
        let flags = WatchFlags::CREATE | WatchFlags::ONLYDIR;
        if self.watch(&self.root.join(name), flags, Watch::Network(id.clone()))? {
            self.add_endpoints(&id)?;
        }
        Ok(())
    }

    fn add_endpoints(&mut self, network: &NetworkId) -> io::Result<()> {
        let folder = self.endpoints(network);
        let flags = WatchFlags::MOVED_TO | WatchFlags::DELETE | WatchFlags::ONLYDIR;
        if !self.watch(&folder, flags, Watch::Endpoints(network.clone()))? {
            return Ok(());
        }
        for entry in fs::read_dir(&folder)? {
            let name = entry?.file_name();
            self.update_endpoint(network, &name)?;
        }
        Ok(())
    }

    /// Adds a watch; false where the folder does not exist.
    fn watch(&mut self, folder: &Path, flags: WatchFlags, watch: Watch) -> io::Result<bool> {
        match inotify::add_watch(&self.inotify, folder, flags) {
            Ok(number) => {
                self.watches.insert(number, watch);
                Ok(true)
            }
            Err(Errno::NOENT | Errno::NOTDIR) => Ok(false),
            Err(errno) => Err(errno.into()),
        }
    }

    fn endpoints(&self, network: &NetworkId) -> PathBuf {
        self.root.join(network.as_str()).join("endpoints")
    }

    /// Makes one endpoint what its file says, or nothing where there is none.
    fn update_endpoint(&mut self, network: &NetworkId, file: &OsStr) -> io::Result<()> {
        let id = file.to_str().and_then(|name| name.strip_suffix(".json"));
        let Some(id) = id.and_then(ContainerId::parse) else {
            return Ok(());
        };
        let path = self.endpoints(network).join(file);
        let members = self.networks.entry(network.clone()).or_default();
        match read_json::<Endpoint>(&path)? {
            Some(endpoint) => members.insert(id, endpoint),
            None => members.remove(&id),
        };
        Ok(())
    }

    /// Takes up everything that has happened by now.
    fn catch_up(&mut self) -> io::Result<()> {
        while let Some(happened) = self.events()? {
            for (watch, flags, name) in happened {
                if flags.contains(ReadFlags::QUEUE_OVERFLOW) {
                    return self.load();
                }
                self.take_up(watch, flags, &name)?;
            }
        }
        Ok(())
    }

    /// One read's worth of events; `None` where nothing waits.
    fn events(&self) -> io::Result<Option<Vec<(i32, ReadFlags, PathBuf)>>> {
        let mut buffer = [MaybeUninit::uninit(); 4096];
        let mut reader = inotify::Reader::new(self.inotify.as_fd(), &mut buffer);
        let mut events = Vec::new();
        loop {
            match reader.next() {
                Ok(event) => {
                    let name = event.file_name().map(std::ffi::CStr::to_bytes);
                    let name = OsStr::from_bytes(name.unwrap_or_default());
                    events.push((event.wd(), event.events(), name.into()));
                    if reader.is_buffer_empty() {
                        return Ok(Some(events));
                    }
                }
                Err(Errno::AGAIN) => return Ok((!events.is_empty()).then_some(events)),
                Err(Errno::INTR) => {}
                Err(errno) => return Err(errno.into()),
            }
        }
    }

    fn take_up(&mut self, number: i32, flags: ReadFlags, name: &Path) -> io::Result<()> {
        let Some(watch) = self.watches.get(&number).cloned() else {
            return Ok(());
        };
        if flags.contains(ReadFlags::IGNORED) {
            // The folder is gone, and the kernel dropped its watch.
            self.watches.remove(&number);
            if let Watch::Endpoints(network) = watch {
                self.networks.remove(&network);
            }
            return Ok(());
        }
        match watch {
            Watch::Root => self.add_network(name.as_os_str()),
            Watch::Network(network) if name == Path::new("endpoints") => {
                self.add_endpoints(&network)
            }
            Watch::Network(_) => Ok(()),
            Watch::Endpoints(network) => self.update_endpoint(&network, name.as_os_str()),
        }
    }

    /// The networks that a container is on and its presence there, in the
    /// order of its links.
    fn presence(
        &self,
        container: &ContainerId,
    ) -> Vec<(&HashMap<ContainerId, Endpoint>, &Endpoint)> {
        let mut presence: Vec<_> = self
            .networks
            .values()
            .filter_map(|members| Some((members, members.get(container)?)))
            .collect();
        presence.sort_by_key(|(_, own)| (own.order, &own.network_name));
        presence
    }

    fn addresses(&self, container: &ContainerId, name: &str) -> Found {
        for (members, own) in self.presence(container) {
            let short = without_network(name, &own.network_name);
            let linked = own
                .links
                .iter()
                .find(|(alias, _)| alias.eq_ignore_ascii_case(short))
                .map(|(_, target)| target.as_str());
            let mut holders: Vec<&Endpoint> = members
                .values()
                .filter(|member| {
                    has_name(member, name)
                        || (short != name && has_name(member, short))
                        || linked.is_some_and(|target| member.container_name == target)
                })
                .collect();
            if !holders.is_empty() {
                holders.sort_by(|a, b| a.addresses.cmp(&b.addresses));
                let addresses = holders.iter().flat_map(|holder| &holder.addresses);
                return Found::Addresses(addresses.map(|(address, _)| *address).collect());
            }
        }
        Found::Unknown
    }

    fn name(&self, container: &ContainerId, wanted: IpAddr) -> Option<String> {
        self.presence(container)
            .into_iter()
            .find_map(|(members, _)| {
                let holder = members.values().find(|member| {
                    member
                        .addresses
                        .iter()
                        .any(|(address, _)| *address == wanted)
                })?;
                Some(format!("{}.{}", holder.container_name, holder.network_name))
            })
    }
}

fn has_name(endpoint: &Endpoint, name: &str) -> bool {
    endpoint
        .names
        .iter()
        .any(|known| known.eq_ignore_ascii_case(name))
}

/// `web` of `web.NETWORK`, other names as they are.
fn without_network<'a>(name: &'a str, network: &str) -> &'a str {
    let Some(at) = name.len().checked_sub(network.len() + 1) else {
        return name;
    };
    match (name.get(..at), name.get(at..at + 1), name.get(at + 1..)) {
        (Some(short), Some("."), Some(rest)) if rest.eq_ignore_ascii_case(network) => short,
        _ => name,
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;
    use crate::state::atomic::{Durability, write_json};

    struct Fixture {
        _folder: tempfile::TempDir,
        layout: Layout,
        network: NetworkId,
    }

    impl Fixture {
        fn new() -> Self {
            let folder = tempfile::tempdir().unwrap();
            Self {
                layout: Layout::new(folder.path().join("data"), folder.path().join("run")),
                _folder: folder,
                network: NetworkId::random(),
            }
        }

        fn path(&self, network: &NetworkId, container: &ContainerId) -> PathBuf {
            self.layout
                .run_networks()
                .join(network.as_str())
                .join(format!("endpoints/{container}.json"))
        }

        fn add_on(&self, network: &NetworkId, endpoint: &Endpoint) {
            let path = self.path(network, &endpoint.container);
            write_json(&path, endpoint, Durability::ThisBoot).unwrap();
        }

        fn add(&self, names: &[&str], address: &str) -> ContainerId {
            let endpoint = endpoint(&self.network, names, address);
            self.add_on(&self.network, &endpoint);
            endpoint.container
        }

        fn table(&self) -> NameTable {
            NameTable::open(&self.layout).unwrap()
        }
    }

    fn endpoint(network: &NetworkId, names: &[&str], address: &str) -> Endpoint {
        Endpoint {
            container: ContainerId::random(),
            container_name: names[0].to_owned(),
            network: network.clone(),
            network_name: "p_default".to_owned(),
            names: names.iter().map(|&name| name.to_owned()).collect(),
            interface: "eth0".to_owned(),
            mac: String::new(),
            addresses: vec![(address.parse().unwrap(), 16)],
            gateways: Vec::new(),
            internal: false,
            links: BTreeMap::new(),
            order: 0,
        }
    }

    fn found(table: &NameTable, asker: &ContainerId, name: &str) -> Vec<String> {
        match table.addresses(asker, name).unwrap() {
            Found::Addresses(addresses) => addresses.iter().map(IpAddr::to_string).collect(),
            Found::Unknown => Vec::new(),
        }
    }

    #[test]
    fn names_appear_and_vanish_with_their_records() {
        let fixture = Fixture::new();
        let table = fixture.table();
        let web = fixture.add(&["p-web-1", "web"], "10.0.0.2");
        assert_eq!(found(&table, &web, "web"), ["10.0.0.2"]);
        let db = fixture.add(&["p-db-1", "db"], "10.0.0.3");
        for name in ["db", "DB", "p-db-1", "db.p_default", "p-db-1.P_Default"] {
            assert_eq!(found(&table, &web, name), ["10.0.0.3"], "{name}");
        }
        for name in ["db.other", "p_default", "d", ".p_default"] {
            assert!(found(&table, &web, name).is_empty(), "{name}");
        }
        fs::remove_file(fixture.path(&fixture.network, &db)).unwrap();
        assert!(found(&table, &web, "db").is_empty());
        fs::remove_dir_all(fixture.layout.run_networks().join(fixture.network.as_str())).unwrap();
        assert!(found(&table, &web, "web").is_empty());
        let again = fixture.add(&["p-web-1", "web"], "10.0.0.9");
        assert_eq!(found(&table, &again, "web"), ["10.0.0.9"]);
    }

    #[test]
    fn replicas_take_turns() {
        let fixture = Fixture::new();
        let asker = fixture.add(&["p-a-1"], "10.0.0.2");
        fixture.add(&["p-web-1", "web"], "10.0.0.3");
        fixture.add(&["p-web-2", "web"], "10.0.0.4");
        let table = fixture.table();
        let first: Vec<String> = (0..4)
            .map(|_| found(&table, &asker, "web")[0].clone())
            .collect();
        assert_eq!(first, ["10.0.0.3", "10.0.0.4", "10.0.0.3", "10.0.0.4"]);
    }

    #[test]
    fn only_shared_networks_are_seen() {
        let fixture = Fixture::new();
        let other = NetworkId::random();
        let asker = fixture.add(&["p-a-1"], "10.0.0.2");
        let stranger = endpoint(&other, &["q-web-1", "web"], "10.1.0.2");
        fixture.add_on(&other, &stranger);
        let table = fixture.table();
        assert_eq!(table.addresses(&asker, "web").unwrap(), Found::Unknown);
        assert_eq!(
            table.name(&asker, "10.1.0.2".parse().unwrap()).unwrap(),
            None
        );
        let name = table.name(&asker, "10.0.0.2".parse().unwrap()).unwrap();
        assert_eq!(name.as_deref(), Some("p-a-1.p_default"));
    }

    #[test]
    fn links_are_seen_by_their_owner_only() {
        let fixture = Fixture::new();
        let other = fixture.add(&["p-db-1"], "10.0.0.3");
        let mut asker = endpoint(&fixture.network, &["p-a-1"], "10.0.0.2");
        asker
            .links
            .insert("database".to_owned(), "p-db-1".to_owned());
        fixture.add_on(&fixture.network, &asker);
        let table = fixture.table();
        assert_eq!(found(&table, &asker.container, "database"), ["10.0.0.3"]);
        assert!(found(&table, &other, "database").is_empty());
    }

    #[test]
    fn container_on_internal_networks_does_not_reach_out() {
        let fixture = Fixture::new();
        let mut asker = endpoint(&fixture.network, &["p-a-1"], "10.0.0.2");
        asker.internal = true;
        fixture.add_on(&fixture.network, &asker);
        let open = fixture.add(&["p-b-1"], "10.0.0.3");
        let table = fixture.table();
        assert!(!table.reaches_out(&asker.container).unwrap());
        assert!(table.reaches_out(&open).unwrap());
    }
}
