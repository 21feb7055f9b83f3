//! Registries that cannot be reached: what is told, word for word, and what to do.

use std::io::{Read, Write};
use std::net::{Ipv4Addr, TcpListener, UdpSocket};
use std::thread;

use hickory_proto::op::{Message, ResponseCode};
use skiff::image::{AccessOptions, ImageError};

use crate::support::server::{Response, Server};
use crate::support::tls::Certificate;
use crate::support::world::{World, isolated};

/// The error's text and its advice.
fn told(error: &ImageError) -> String {
    assert!(matches!(error, ImageError::Unreachable { .. }), "{error}");
    format!("{error}\n{}", error.hint().unwrap_or_default())
}

/// A name server that answers everything like this, for as long as the test is.
fn name_server(world: &World, code: ResponseCode) {
    world.replace(
        "/etc/resolv.conf",
        "nameserver 127.0.0.53\noptions timeout:1 attempts:1\n",
    );
    let socket = UdpSocket::bind("127.0.0.53:53").unwrap();
    thread::spawn(move || {
        let mut buffer = [0; 512];
        while let Ok((length, from)) = socket.recv_from(&mut buffer) {
            let question = Message::from_vec(&buffer[..length]).unwrap();
            let mut answer = Message::response(question.metadata.id, question.metadata.op_code);
            answer.metadata.response_code = code;
            answer.add_queries(question.queries.iter().cloned());
            socket.send_to(&answer.to_vec().unwrap(), from).unwrap();
        }
    });
}

/// Pulls from `registry.test`, which is this machine.
fn pull_here(world: &World, options: AccessOptions) -> String {
    world.hosts(&[("registry.test", Ipv4Addr::LOCALHOST)]);
    told(&world.pull_with("registry.test/app", options).unwrap_err())
}

#[test]
fn unknown_host() {
    isolated(|world| {
        name_server(world, ResponseCode::NXDomain);
        assert_eq!(
            told(&world.pull("nowhere.test/app").unwrap_err()),
            "cannot reach registry `nowhere.test` for `nowhere.test/app:latest`: no such host\n\
             check the spelling: what stands before the first `/` of an image, with a dot or a port \
             in it, is its registry; or get the image in with `skiff load`"
        );
    });
}

#[test]
fn name_server_that_fails() {
    isolated(|world| {
        name_server(world, ResponseCode::ServFail);
        assert_eq!(
            told(&world.pull("nowhere.test/app").unwrap_err()),
            "cannot reach registry `nowhere.test` for `nowhere.test/app:latest`: its name cannot be \
             resolved: the name server answers \"Server Failure\"\n\
             check the network and the name servers in /etc/resolv.conf; or get the image in with \
             `skiff load`"
        );
    });
}

#[test]
fn no_name_server() {
    isolated(|world| {
        world.replace(
            "/etc/resolv.conf",
            "nameserver 127.0.0.1\noptions timeout:1 attempts:1\n",
        );
        assert_eq!(
            told(&world.pull("nowhere.test/app").unwrap_err()),
            "cannot reach registry `nowhere.test` for `nowhere.test/app:latest`: its name cannot be \
             resolved: no name server answers\n\
             check the network and the name servers in /etc/resolv.conf; or get the image in with \
             `skiff load`"
        );
    });
}

#[test]
fn connection_refused() {
    isolated(|world| {
        assert_eq!(
            pull_here(world, AccessOptions::default()),
            "cannot reach registry `registry.test` for `registry.test/app:latest`: connection refused\n\
             nothing listens there: check that it runs, and host, port and proxy variables; or get \
             the image in with `skiff load`"
        );
    });
}

#[test]
fn a_proxy_that_refuses_is_named_without_its_password() {
    isolated(|world| {
        for (proxy, cause) in [
            ("http://u:pw@127.0.0.1:9", "connection refused"),
            ("u:pw@127.0.0.1:9", "connection refused"),
        ] {
            let options = AccessOptions {
                https_proxy: Some(proxy.to_owned()),
                ..AccessOptions::default()
            };
            let shown = proxy.replace("u:pw", "…");
            let error = world.pull_with("registry.test/app", options).unwrap_err();
            assert_eq!(
                told(&error),
                format!(
                    "cannot reach registry `registry.test` for `registry.test/app:latest`: its \
                     proxy `{shown}` cannot be reached: {cause}\n\
                     check that the proxy runs, and the variables HTTP_PROXY, HTTPS_PROXY, \
                     ALL_PROXY and NO_PROXY; or get the image in with `skiff load`"
                )
            );
        }
    });
}

#[test]
fn no_route() {
    isolated(|world| {
        world.hosts(&[("registry.test", Ipv4Addr::new(192, 0, 2, 1))]);
        let error = world.pull("registry.test/app").unwrap_err();
        assert_eq!(
            told(&error),
            "cannot reach registry `registry.test` for `registry.test/app:latest`: there is no route to \
             it\ncheck the network and the proxy variables; or get the image in with `skiff load`"
        );
    });
}

#[test]
fn connection_that_is_closed_at_once() {
    isolated(|world| {
        let listener = TcpListener::bind("127.0.0.1:443").unwrap();
        thread::spawn(move || listener.incoming().for_each(drop));
        assert_eq!(
            pull_here(world, AccessOptions::default()),
            "cannot reach registry `registry.test` for `registry.test/app:latest`: it closed the \
             connection\ncheck that host and port are a registry's; a firewall or a proxy between \
             may do this, too; or get the image in with `skiff load`"
        );
    });
}

#[test]
fn plain_http_where_tls_is_wanted() {
    isolated(|world| {
        let listener = TcpListener::bind("127.0.0.1:443").unwrap();
        thread::spawn(move || {
            for mut stream in listener.incoming().flatten() {
                stream.read_exact(&mut [0; 64]).unwrap();
                stream
                    .write_all(b"HTTP/1.1 400 Bad Request\r\n\r\n")
                    .unwrap();
            }
        });
        assert_eq!(
            pull_here(world, AccessOptions::default()),
            "cannot reach registry `registry.test` for `registry.test/app:latest`: it does not speak \
             TLS\ncheck the port; plain http is spoken with registries on this machine and with those \
             that registries.conf or daemon.json list as insecure; or get the image in with \
             `skiff load`"
        );
    });
}

/// The error where a server has this certificate and the client trusts that one.
fn with_certificates(world: &World, own: &Certificate, trusted: &Certificate) -> String {
    let config = own.server_config();
    let _server = Server::start_tls("127.0.0.1:443", config, |_| Response::new(200, b"{}"));
    let options = AccessOptions {
        certificate_file: Some(trusted.authority.clone()),
        ..AccessOptions::default()
    };
    pull_here(world, options)
}

#[test]
fn certificate_of_an_unknown_authority() {
    isolated(|world| {
        let own = Certificate::new(world, &["registry.test"]);
        let other = Certificate::new(world, &["other.test"]);
        assert_eq!(
            with_certificates(world, &own, &other),
            "cannot reach registry `registry.test` for `registry.test/app:latest`: its certificate is \
             signed by no authority that this machine trusts\n\
             put the authority's certificate at /etc/containers/certs.d/HOST:PORT/ca.crt, install it \
             on this machine, or name its file in SSL_CERT_FILE; or get the image in with `skiff load`"
        );
    });
}

#[test]
fn certificate_for_another_name() {
    isolated(|world| {
        let own = Certificate::new(world, &["other.test"]);
        assert_eq!(
            with_certificates(world, &own, &own),
            "cannot reach registry `registry.test` for `registry.test/app:latest`: its certificate is for \
             another name\nuse the name that the certificate is for; or get the image in with \
             `skiff load`"
        );
    });
}
