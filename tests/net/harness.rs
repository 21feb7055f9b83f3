//! A machine of its own for each test: namespaces, roots, a world outside.

use std::collections::BTreeMap;
use std::io::{Read, Write};
use std::net::{IpAddr, SocketAddr, TcpListener, TcpStream, UdpSocket};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::Path;
use std::process::Command;
use std::sync::mpsc;
use std::thread;
use std::time::{Duration, Instant};

use nix::mount::{MsFlags, mount};
use nix::sched::{CloneFlags, setns, unshare};
use skiff::net::spec::{EndpointSpec, NetworkRecord, NetworkSpec};
use skiff::net::{AttachRequest, Attached, Net};
use skiff::state::{ContainerId, Layout, make_root_id};

/// No answer within this time counts as none.
pub(crate) const PATIENCE: Duration = Duration::from_millis(800);

/// A test's machine. Everything in it ends with the test.
pub(crate) struct Machine {
    pub(crate) net: Net,
    pub(crate) layout: Layout,
    _folder: tempfile::TempDir,
}

/// Runs a test on a thread of its own, in new network and mount namespaces, and
/// afterwards demands that nothing of it is left there.
pub(crate) fn on_machine(test: impl FnOnce(&Machine) + Send) {
    thread::scope(|scope| {
        let thread = scope.spawn(|| {
            leave();
            let folder = tempfile::tempdir().unwrap();
            let root = folder.path();
            let layout = Layout::new(root.join("data"), root.join("run"));
            make_root_id(&layout).unwrap();
            let machine = Machine {
                net: Net::open(&layout, None).unwrap(),
                layout,
                _folder: folder,
            };
            test(&machine);
            machine.remove_all();
            machine.assert_nothing_left();
        });
        if let Err(panic) = thread.join() {
            std::panic::resume_unwind(panic);
        }
    });
}

/// Puts the calling thread into new network and mount namespaces.
fn leave() {
    unshare(CloneFlags::CLONE_NEWNET | CloneFlags::CLONE_NEWNS)
        .expect("these tests need root: run them with sudo");
    let private = MsFlags::MS_REC | MsFlags::MS_PRIVATE;
    mount(None::<&str>, "/", None::<&str>, private, None::<&str>).unwrap();
    // The host's resolvers are the test's own affair.
    let resolv_conf = tempfile::NamedTempFile::new().unwrap();
    mount(
        Some(resolv_conf.path()),
        &fs_err::canonicalize("/etc/resolv.conf").unwrap(),
        None::<&str>,
        MsFlags::MS_BIND,
        None::<&str>,
    )
    .unwrap();
    run("ip", &["link", "set", "lo", "up"]);
}

/// Runs a program that has to succeed, and returns what it printed.
pub(crate) fn run(program: &str, arguments: &[&str]) -> String {
    let package = match program {
        "nft" => "nftables",
        "iptables-nft" => "iptables",
        "ip" => "iproute2",
        other => other,
    };
    let output = Command::new(program)
        .args(arguments)
        .output()
        .unwrap_or_else(|error| {
            panic!("cannot run `{program}` ({error}); install it: apt install {package}")
        });
    assert!(
        output.status.success(),
        "{program} {arguments:?}: {}",
        String::from_utf8_lossy(&output.stderr)
    );
    String::from_utf8(output.stdout).unwrap()
}

/// Feeds a ruleset to `nft`.
pub(crate) fn nft(ruleset: &str) {
    let file = tempfile::NamedTempFile::new().unwrap();
    fs_err::write(file.path(), ruleset).unwrap();
    run("nft", &["-f", file.path().to_str().unwrap()]);
}

/// A network of this name with everything left to its defaults.
pub(crate) fn spec(name: &str) -> NetworkSpec {
    NetworkSpec {
        name: name.to_owned(),
        driver: "bridge".to_owned(),
        driver_opts: BTreeMap::new(),
        pools: Vec::new(),
        internal: false,
        ipv6: false,
        ipv4: true,
        labels: BTreeMap::new(),
    }
}

/// An endpoint on this network with everything left to its defaults.
pub(crate) fn on(network: &str) -> EndpointSpec {
    EndpointSpec {
        network: network.to_owned(),
        aliases: Vec::new(),
        ipv4: None,
        ipv6: None,
        link_local: Vec::new(),
        mac: None,
        interface: None,
        gateway_priority: 0,
        driver_opts: BTreeMap::new(),
        links: BTreeMap::new(),
    }
}

/// A container without a program: its namespace and endpoints.
pub(crate) struct Container {
    pub(crate) id: ContainerId,
    pub(crate) attached: Attached,
}

impl Container {
    /// Its first address.
    pub(crate) fn ip(&self) -> IpAddr {
        self.attached.endpoints[0].addresses[0].0
    }

    /// Runs a function inside.
    pub(crate) fn enter<T: Send>(&self, work: impl FnOnce() -> T + Send) -> T {
        inside(self.attached.netns.as_fd(), work)
    }
}

/// Runs a function on a thread in a namespace.
pub(crate) fn inside<T: Send>(netns: BorrowedFd<'_>, work: impl FnOnce() -> T + Send) -> T {
    thread::scope(|scope| {
        let thread = scope.spawn(|| {
            setns(netns, CloneFlags::CLONE_NEWNET).unwrap();
            work()
        });
        thread
            .join()
            .unwrap_or_else(|panic| std::panic::resume_unwind(panic))
    })
}

impl Machine {
    pub(crate) fn network(&self, spec: &NetworkSpec) -> NetworkRecord {
        self.net.ensure_network(spec).unwrap().record
    }

    /// A container on these networks; it exists for a sweep.
    pub(crate) fn container(&self, name: &str, endpoints: &[EndpointSpec]) -> Container {
        let id = ContainerId::random();
        fs_err::create_dir_all(self.layout.container("p", &id)).unwrap();
        let attached = self.net.attach(&request(&id, name, endpoints)).unwrap();
        Container { id, attached }
    }

    fn remove_all(&self) {
        let pins = self.layout.run().join("netns");
        let mut ids = Vec::new();
        for pin in fs_err::read_dir(pins).into_iter().flatten() {
            let name = pin.unwrap().file_name();
            ids.extend(ContainerId::parse(name.to_str().unwrap()));
        }
        self.net.detach_many(&ids).unwrap();
        for network in self.net.networks().unwrap() {
            self.net.remove_network(&network.spec.name).unwrap();
        }
    }

    fn assert_nothing_left(&self) {
        let links = run("ip", &["-o", "link", "show"]);
        assert!(!links.contains("skiff"), "links are left: {links}");
        assert!(!links.contains(" sk"), "links are left: {links}");
        let rules = run("nft", &["list", "ruleset"]);
        assert!(!rules.contains("skiff"), "rules are left: {rules}");
        let mounts = fs_err::read_to_string("/proc/thread-self/mounts").unwrap();
        let run_root = self.layout.run().to_str().unwrap();
        assert!(!mounts.contains(run_root), "pins are left: {mounts}");
        let left: Vec<_> = files(self.layout.run())
            .into_iter()
            .filter(|file| !file.ends_with("firewall.lock"))
            .collect();
        assert!(left.is_empty(), "files are left: {left:?}");
    }
}

/// What [`Net::attach`] takes, for a container with a short name.
pub(crate) fn request<'a>(
    id: &'a ContainerId,
    name: &'a str,
    endpoints: &'a [EndpointSpec],
) -> AttachRequest<'a> {
    AttachRequest {
        container: id,
        name,
        hostname: id.short(),
        endpoints,
    }
}

/// All files below a folder.
fn files(folder: &Path) -> Vec<String> {
    let mut found = Vec::new();
    for entry in fs_err::read_dir(folder).into_iter().flatten() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            found.extend(files(&path));
        } else {
            found.push(path.to_str().unwrap().to_owned());
        }
    }
    found
}

/// A namespace that is no container's: `203.0.113.2` and `2001:db8::2`, wired
/// to the machine's `203.0.113.1` and `2001:db8::1`, with no route to its bridges.
pub(crate) struct Outside {
    netns: OwnedFd,
}

impl Outside {
    pub(crate) fn new() -> Self {
        let machine = fs_err::File::open("/proc/thread-self/ns/net").unwrap();
        let netns = thread::scope(|scope| {
            let thread = scope.spawn(|| {
                unshare(CloneFlags::CLONE_NEWNET).unwrap();
                fs_err::File::open("/proc/thread-self/ns/net").unwrap()
            });
            thread.join().unwrap()
        });
        let netns = OwnedFd::from(netns.into_parts().0);
        inside(netns.as_fd(), || {
            // Made there, so that it ends with that namespace.
            let target = format!("/proc/{}/fd/{}", std::process::id(), {
                use std::os::fd::AsRawFd;
                machine.as_raw_fd()
            });
            run("ip", &["link", "set", "lo", "up"]);
            run(
                "ip",
                &[
                    "link", "add", "wan", "type", "veth", "peer", "name", "uplink", "netns",
                    &target,
                ],
            );
            run("ip", &["link", "set", "wan", "up"]);
            run("ip", &["addr", "add", "203.0.113.2/24", "dev", "wan"]);
            run(
                "ip",
                &["addr", "add", "2001:db8::2/64", "dev", "wan", "nodad"],
            );
        });
        run("ip", &["link", "set", "uplink", "up"]);
        run("ip", &["addr", "add", "203.0.113.1/24", "dev", "uplink"]);
        run(
            "ip",
            &["addr", "add", "2001:db8::1/64", "dev", "uplink", "nodad"],
        );
        run("ip", &["route", "add", "default", "via", "203.0.113.2"]);
        run("ip", &["route", "add", "default", "via", "2001:db8::2"]);
        Self { netns }
    }

    pub(crate) fn enter<T: Send>(&self, work: impl FnOnce() -> T + Send) -> T {
        inside(self.netns.as_fd(), work)
    }

    /// A descriptor of it.
    pub(crate) fn namespace(&self) -> OwnedFd {
        self.netns.try_clone().unwrap()
    }

    /// As [`serve_tcp`], out there.
    pub(crate) fn serve_tcp(&self, address: &str) {
        let address = address.to_owned();
        self.enter(move || serve_tcp(&address));
    }
}

/// Listens in the calling thread's namespace; tells each client the address
/// that it comes from, then gives back what it sends.
pub(crate) fn serve_tcp(address: &str) {
    let listener = TcpListener::bind(address).unwrap();
    thread::spawn(move || {
        for stream in listener.incoming() {
            let mut stream = stream.unwrap();
            thread::spawn(move || {
                let peer = stream.peer_addr().unwrap().ip();
                writeln!(stream, "{peer}").unwrap();
                let mut input = stream.try_clone().unwrap();
                std::io::copy(&mut input, &mut stream).ok();
            });
        }
    });
}

/// Calls such a server: the address that it saw; `None` where nobody answers.
pub(crate) fn call_tcp(address: &str) -> Option<String> {
    let address: SocketAddr = address.parse().unwrap();
    let mut stream = TcpStream::connect_timeout(&address, PATIENCE).ok()?;
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    stream.write_all(b"over").ok()?;
    stream.shutdown(std::net::Shutdown::Write).ok()?;
    let mut text = String::new();
    stream.read_to_string(&mut text).ok()?;
    text.strip_suffix("\nover").map(str::to_owned)
}

/// Answers each datagram in the calling thread's namespace with the address
/// that it came from.
pub(crate) fn serve_udp(address: &str) {
    let socket = UdpSocket::bind(address).unwrap();
    thread::spawn(move || {
        let mut buffer = [0; 2048];
        while let Ok((_, from)) = socket.recv_from(&mut buffer) {
            socket.send_to(from.ip().to_string().as_bytes(), from).ok();
        }
    });
}

/// Calls such a server from a port, 0 for any.
pub(crate) fn call_udp_from(port: u16, address: &str) -> Option<String> {
    let address: SocketAddr = address.parse().unwrap();
    let local = if address.is_ipv4() { "0.0.0.0" } else { "::" };
    let socket = UdpSocket::bind((local, port)).unwrap();
    socket.set_read_timeout(Some(PATIENCE)).unwrap();
    socket.connect(address).unwrap();
    socket.send(b"hello").ok()?;
    let mut buffer = [0; 2048];
    let length = socket.recv(&mut buffer).ok()?;
    Some(String::from_utf8(buffer[..length].to_vec()).unwrap())
}

pub(crate) fn call_udp(address: &str) -> Option<String> {
    call_udp_from(0, address)
}

/// `address:port`, in brackets where it is IPv6.
pub(crate) fn at(address: IpAddr, port: u16) -> String {
    SocketAddr::new(address, port).to_string()
}

/// Runs a future to its end on a runtime of the calling thread.
pub(crate) fn block_on<T>(future: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap()
        .block_on(future)
}

/// Runs a future on a thread of its own, in the calling thread's namespaces,
/// until the answer is dropped.
pub(crate) fn in_background<F: Future + Send + 'static>(
    make: impl FnOnce() -> F + Send + 'static,
) -> Background {
    let (stop, stopped) = tokio::sync::oneshot::channel::<()>();
    let (ready, started) = mpsc::channel();
    let thread = thread::spawn(move || {
        block_on(async {
            let work = make();
            ready.send(()).unwrap();
            tokio::select! {
                _ = work => panic!("a server ended by itself"),
                _ = stopped => {}
            }
        });
    });
    started.recv().unwrap();
    Background {
        stop: Some(stop),
        thread: Some(thread),
    }
}

/// A future that runs until this is dropped.
pub(crate) struct Background {
    stop: Option<tokio::sync::oneshot::Sender<()>>,
    thread: Option<thread::JoinHandle<()>>,
}

impl Drop for Background {
    fn drop(&mut self) {
        drop(self.stop.take());
        let ended = self.thread.take().unwrap().join();
        assert!(
            ended.is_ok() || thread::panicking(),
            "a server ended by itself"
        );
    }
}

/// Looks again and again for two seconds.
pub(crate) fn eventually(what: &str, mut check: impl FnMut() -> bool) {
    let start = Instant::now();
    while !check() {
        assert!(start.elapsed() < Duration::from_secs(2), "never: {what}");
    }
}
