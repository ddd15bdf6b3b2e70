//! No guest reaches the network: what it tries is refused and told in the status.

use std::net::{Ipv4Addr, TcpListener};

use e2e::Server;

use crate::place::{Place, example};

/// Calls every import that could lead to a socket or a name, and succeeds only if each of them says `access-denied`.
const TRIES_EVERYTHING: &str = include_str!("guests/tries_everything.wat");

#[test]
fn a_component_is_refused_tcp_udp_and_names() {
    let place = Place::new();
    place.write("tries.wasm", wat::parse_str(TRIES_EVERYTHING).expect("a component"));
    let ran = place.run(&["run", "tries.wasm", "--status-file", "s.json"]);
    assert_eq!((ran.code, ran.stdout.as_str(), ran.stderr.as_str()), (Some(0), "", ""));
    let status = place.status();
    let call = |call: &str, times: u64| serde_json::json!({"call": call, "times": times});
    let denied =
        [call("wasi:sockets/ip-name-lookup", 1), call("wasi:sockets/tcp-create-socket", 2), call("wasi:sockets/udp-create-socket", 2)];
    assert_eq!(status["networkDenied"], serde_json::json!(denied), "{status}");
    assert_eq!((&status["module"]["kind"], &status["succeeded"]), (&"Component".into(), &1.into()), "{status}");
}

#[test]
fn a_server_on_this_machine_sees_nobody() {
    let server = Server::start().expect("it starts");
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a free port");
    listener.set_nonblocking(true).expect("set");
    let address = listener.local_addr().expect("an address").to_string();
    let of_server = server.url("").trim_start_matches("http://").to_owned();
    let (place, module) = (Place::new(), example("component/component.wasm"));
    let port = format!("localhost:{}", listener.local_addr().expect("an address").port());
    for (words, call) in [
        (["connect", address.as_str()], "wasi:sockets/tcp-create-socket"),
        (["connect", of_server.as_str()], "wasi:sockets/tcp-create-socket"),
        (["bind", "127.0.0.1:0"], "wasi:sockets/tcp-create-socket"),
        (["resolve", port.as_str()], "wasi:sockets/ip-name-lookup"),
    ] {
        let ran = place.run(&[&["run", &module, "--status-file", "s.json"][..], &words].concat());
        let refusal = format!("{} {}: refused: ", words[0], words[1]);
        assert!(ran.code == Some(0) && ran.stdout.starts_with(&refusal) && ran.stderr.is_empty(), "{ran:?}");
        let status = place.status();
        assert_eq!(status["networkDenied"][0]["call"], call, "{status}");
    }
    assert_eq!(listener.accept().expect_err("nobody came").kind(), std::io::ErrorKind::WouldBlock);
    assert_eq!(server.requests(), []);
}
