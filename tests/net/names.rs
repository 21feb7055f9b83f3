//! Names, asked as a container's resolver library asks them.

use std::collections::BTreeMap;
use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream, UdpSocket};
use std::os::fd::AsFd;
use std::sync::Arc;
use std::thread;
use std::time::Duration;

use hickory_proto::op::{Message, MessageType, OpCode, Query, ResponseCode};
use hickory_proto::rr::rdata::A;
use hickory_proto::rr::{Name, RData, Record, RecordType};
use skiff::net::dns::{self, Client, NameTable};

use crate::harness::{Background, Container, Machine, in_background, on, on_machine, spec};

/// Serves a container's names, as its supervisor does.
fn serve(container: &Container, names: &Arc<NameTable>) -> Background {
    let sockets = dns::sockets_in(container.attached.netns.as_fd()).unwrap();
    let client = Client {
        container: container.id.clone(),
        servers: Vec::new(),
    };
    let names = Arc::clone(names);
    in_background(move || dns::serve(sockets, names, client))
}

fn question(name: &str, kind: RecordType) -> Message {
    let mut message = Message::new(4711, MessageType::Query, OpCode::Query);
    message.metadata.recursion_desired = true;
    message.add_query(Query::query(Name::from_ascii(name).unwrap(), kind));
    message
}

/// Asks 127.0.0.11:53 over UDP in the calling thread's namespace.
fn ask_udp(message: &Message) -> Message {
    let socket = UdpSocket::bind("0.0.0.0:0").unwrap();
    socket
        .set_read_timeout(Some(Duration::from_secs(5)))
        .unwrap();
    socket.connect("127.0.0.11:53").unwrap();
    socket.send(&message.to_vec().unwrap()).unwrap();
    let mut buffer = [0; 4096];
    let length = socket.recv(&mut buffer).expect("an answer");
    Message::from_vec(&buffer[..length]).unwrap()
}

/// The same over TCP.
fn ask_tcp(message: &Message) -> Message {
    let mut stream = TcpStream::connect("127.0.0.11:53").unwrap();
    let bytes = message.to_vec().unwrap();
    let length = u16::try_from(bytes.len()).unwrap();
    stream
        .write_all(&[&length.to_be_bytes(), bytes.as_slice()].concat())
        .unwrap();
    let mut length = [0; 2];
    stream.read_exact(&mut length).unwrap();
    let mut answer = vec![0; usize::from(u16::from_be_bytes(length))];
    stream.read_exact(&mut answer).unwrap();
    Message::from_vec(&answer).unwrap()
}

/// Response code and data of the answers, as text.
fn told(message: &Message) -> (ResponseCode, Vec<String>) {
    let answers = message.answers.iter().map(|record| record.data.to_string());
    (message.metadata.response_code, answers.collect())
}

impl Container {
    fn ask(&self, name: &str, kind: RecordType) -> (ResponseCode, Vec<String>) {
        self.enter(|| told(&ask_udp(&question(name, kind))))
    }
}

fn table(machine: &Machine) -> Arc<NameTable> {
    Arc::new(NameTable::open(&machine.layout).unwrap())
}

fn ok(answers: &[&str]) -> (ResponseCode, Vec<String>) {
    (
        ResponseCode::NoError,
        answers.iter().map(|&answer| answer.to_owned()).collect(),
    )
}

#[test]
fn container_finds_its_neighbours_by_every_name() {
    on_machine(|machine| {
        machine.network(&spec("p_default"));
        let names = table(machine);
        let web = machine.container("p-web-1", &[on("p_default")]);
        let _serving = serve(&web, &names);
        let mut endpoint = on("p_default");
        endpoint.aliases = vec!["db".to_owned(), "Database".to_owned()];
        let db = machine.container("p-db-1", &[endpoint]);
        let expected = ok(&["172.18.0.3"]);
        for name in [
            "db",
            "DB",
            "database",
            "p-db-1",
            db.id.short(),
            "db.p_default",
        ] {
            assert_eq!(
                web.ask(&format!("{name}."), RecordType::A),
                expected,
                "{name}"
            );
        }
        assert_eq!(
            web.ask("db.", RecordType::AAAA),
            ok(&[]),
            "known, but no IPv6"
        );
        assert_eq!(web.ask("db.", RecordType::MX), ok(&[]));
        assert_eq!(web.ask("db.", RecordType::ANY), expected);
        assert_eq!(
            web.ask("p-web-1.", RecordType::A),
            ok(&["172.18.0.2"]),
            "itself"
        );
        let reverse = web.ask("3.0.18.172.in-addr.arpa.", RecordType::PTR);
        assert_eq!(reverse, ok(&["p-db-1.p_default."]));
        machine.net.detach(&db.id).unwrap();
        let (code, answers) = web.ask("db.", RecordType::A);
        assert_ne!(code, ResponseCode::NoError, "the dead are not answered");
        assert!(answers.is_empty());
    });
}

#[test]
fn answer_looks_like_dockers() {
    on_machine(|machine| {
        machine.network(&spec("p_default"));
        let names = table(machine);
        let web = machine.container("p-web-1", &[on("p_default")]);
        let _serving = serve(&web, &names);
        let answer = web.enter(|| ask_udp(&question("P-Web-1.", RecordType::A)));
        let header = &answer.metadata;
        assert_eq!(header.id, 4711);
        assert!(header.recursion_available && header.recursion_desired && !header.authoritative);
        assert_eq!(answer.answers[0].ttl, 600);
        assert_eq!(answer.answers[0].name.to_string(), "P-Web-1.");
    });
}

#[test]
fn ipv6_names_and_addresses() {
    on_machine(|machine| {
        let mut both = spec("p_default");
        both.ipv6 = true;
        machine.network(&both);
        let names = table(machine);
        let web = machine.container("p-web-1", &[on("p_default")]);
        let _serving = serve(&web, &names);
        let address = web.attached.endpoints[0].addresses[1].0;
        let text = address.to_string();
        assert_eq!(web.ask("p-web-1.", RecordType::AAAA), ok(&[&text]));
        let reverse = Name::from(address).to_string();
        assert_eq!(
            web.ask(&reverse, RecordType::PTR),
            ok(&["p-web-1.p_default."])
        );
    });
}

#[test]
fn only_networks_in_common_and_own_links_are_seen() {
    on_machine(|machine| {
        machine.network(&spec("front"));
        machine.network(&spec("back"));
        let names = table(machine);
        let mut linked = on("front");
        linked.links = BTreeMap::from([("shop".to_owned(), "p-app-1".to_owned())]);
        let web = machine.container("p-web-1", &[linked]);
        let app = machine.container("p-app-1", &[on("front"), on("back")]);
        let db = machine.container("p-db-1", &[on("back")]);
        let _serving = [&web, &app, &db].map(|container| serve(container, &names));
        assert_eq!(web.ask("p-db-1.", RecordType::A).1, [""; 0]);
        assert_eq!(web.ask("p-app-1.", RecordType::A).1, ["172.18.0.3"]);
        assert_eq!(db.ask("p-app-1.", RecordType::A).1, ["172.19.0.2"]);
        assert_eq!(web.ask("shop.", RecordType::A).1, ["172.18.0.3"]);
        assert_eq!(app.ask("shop.", RecordType::A).1, [""; 0]);
    });
}

#[test]
fn many_replicas_are_truncated_over_udp_and_whole_over_tcp() {
    on_machine(|machine| {
        machine.network(&spec("p_default"));
        let names = table(machine);
        let mut endpoint = on("p_default");
        endpoint.aliases = vec!["web".to_owned()];
        let replicas: Vec<_> = (0..40)
            .map(|number| machine.container(&format!("p-web-{number}"), &[endpoint.clone()]))
            .collect();
        let _serving = serve(&replicas[0], &names);
        let (udp, tcp, next) = replicas[0].enter(|| {
            let message = question("web.", RecordType::A);
            (ask_udp(&message), ask_tcp(&message), ask_tcp(&message))
        });
        assert!(udp.metadata.truncation);
        assert!(
            (20..40).contains(&udp.answers.len()),
            "{}",
            udp.answers.len()
        );
        assert!(!tcp.metadata.truncation);
        assert_eq!(tcp.answers.len(), 40);
        assert_ne!(
            tcp.answers[0].data, next.answers[0].data,
            "replicas take turns"
        );
    });
}

/// A name server on the machine's 127.0.0.53, as systemd-resolved has it: knows
/// `example.org`, over UDP and TCP.
fn host_resolver() {
    let answer = |bytes: &[u8]| {
        let query = Message::from_vec(bytes).unwrap();
        let mut answer = Message::response(query.metadata.id, OpCode::Query);
        answer.add_queries(query.queries.iter().cloned());
        let name = query.queries[0].name().clone();
        if name.to_string() == "example.org." {
            let data = RData::A(A("192.0.2.80".parse().unwrap()));
            answer.add_answer(Record::from_rdata(name, 60, data));
        } else {
            answer.metadata.response_code = ResponseCode::NXDomain;
        }
        answer.to_vec().unwrap()
    };
    let udp = UdpSocket::bind("127.0.0.53:53").unwrap();
    thread::spawn(move || {
        let mut buffer = [0; 4096];
        while let Ok((length, from)) = udp.recv_from(&mut buffer) {
            udp.send_to(&answer(&buffer[..length]), from).unwrap();
        }
    });
    let tcp = TcpListener::bind("127.0.0.53:53").unwrap();
    thread::spawn(move || {
        for stream in tcp.incoming() {
            let mut stream = stream.unwrap();
            let mut length = [0; 2];
            stream.read_exact(&mut length).unwrap();
            let mut bytes = vec![0; usize::from(u16::from_be_bytes(length))];
            stream.read_exact(&mut bytes).unwrap();
            let bytes = answer(&bytes);
            let length = u16::try_from(bytes.len()).unwrap();
            stream.write_all(&length.to_be_bytes()).unwrap();
            stream.write_all(&bytes).unwrap();
        }
    });
}

#[test]
fn foreign_names_go_to_the_hosts_resolver_and_follow_its_changes() {
    on_machine(|machine| {
        machine.network(&spec("p_default"));
        let names = table(machine);
        let web = machine.container("p-web-1", &[on("p_default")]);
        let _serving = serve(&web, &names);
        // Nobody listens on the machine's 127.0.0.1, where an empty file leads.
        let nobody = web.ask("example.org.", RecordType::A);
        assert_eq!(nobody, (ResponseCode::ServFail, Vec::new()));
        host_resolver();
        fs_err::write("/etc/resolv.conf", "nameserver 127.0.0.53\n").unwrap();
        assert_eq!(web.ask("example.org.", RecordType::A), ok(&["192.0.2.80"]));
        let over_tcp = web.enter(|| told(&ask_tcp(&question("example.org.", RecordType::A))));
        assert_eq!(over_tcp, ok(&["192.0.2.80"]));
        let unknown = web.ask("nosuch.example.", RecordType::A);
        assert_eq!(unknown, (ResponseCode::NXDomain, Vec::new()));
    });
}

#[test]
fn declared_servers_are_asked_instead() {
    on_machine(|machine| {
        machine.network(&spec("p_default"));
        host_resolver();
        let names = table(machine);
        let web = machine.container("p-web-1", &[on("p_default")]);
        let sockets = dns::sockets_in(web.attached.netns.as_fd()).unwrap();
        let client = Client {
            container: web.id.clone(),
            // The first does not answer; the second does.
            servers: vec!["127.0.0.54".parse().unwrap(), "127.0.0.53".parse().unwrap()],
        };
        let _serving = in_background(move || dns::serve(sockets, names, client));
        assert_eq!(web.ask("example.org.", RecordType::A), ok(&["192.0.2.80"]));
    });
}

#[test]
fn internal_container_gets_no_foreign_names() {
    on_machine(|machine| {
        let mut internal = spec("back");
        internal.internal = true;
        machine.network(&internal);
        host_resolver();
        fs_err::write("/etc/resolv.conf", "nameserver 127.0.0.53\n").unwrap();
        let names = table(machine);
        let db = machine.container("p-db-1", &[on("back")]);
        let _serving = serve(&db, &names);
        let foreign = db.ask("example.org.", RecordType::A);
        assert_eq!(foreign, (ResponseCode::ServFail, Vec::new()));
        assert_eq!(db.ask("p-db-1.", RecordType::A), ok(&["172.18.0.2"]));
    });
}

#[test]
fn containers_own_name_server_keeps_its_port() {
    on_machine(|machine| {
        machine.network(&spec("p_default"));
        let names = table(machine);
        let web = machine.container("p-dns-1", &[on("p_default")]);
        let _serving = serve(&web, &names);
        web.enter(|| {
            UdpSocket::bind("0.0.0.0:53").unwrap();
            TcpListener::bind("0.0.0.0:53").unwrap();
        });
        assert_eq!(web.ask("p-dns-1.", RecordType::A), ok(&["172.18.0.2"]));
    });
}

#[test]
fn new_sockets_take_over_from_lost_ones() {
    on_machine(|machine| {
        machine.network(&spec("p_default"));
        let names = table(machine);
        let web = machine.container("p-web-1", &[on("p_default")]);
        drop(serve(&web, &names));
        let _serving = serve(&web, &names);
        assert_eq!(web.ask("p-web-1.", RecordType::A), ok(&["172.18.0.2"]));
    });
}
