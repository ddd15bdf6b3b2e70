use url::Url;

use super::{AddressPolicy, Refused, ResolveError};

#[test]
fn every_address_that_is_not_public_is_refused_however_it_is_written() {
    let hosts = [
        // loopback and this host, in every spelling that the parser normalises
        "127.0.0.1",
        "127.1",
        "0x7f.1",
        "2130706433",
        "017700000001",
        "0.0.0.0",
        "127.255.255.254",
        "①②⑦.0.0.1",
        "[::1]",
        "[::]",
        "[::ffff:127.0.0.1]",
        "[::ffff:7f00:1]",
        "[::127.0.0.1]",
        "[::ffff:8.8.8.8]",
        // metadata services
        "169.254.169.254",
        "[fd00:ec2::254]",
        "100.100.100.200",
        "metadata.google.internal",
        // private, shared, reserved
        "10.0.0.1",
        "10.255.255.255",
        "172.16.0.1",
        "172.31.255.255",
        "192.168.1.1",
        "100.64.0.1",
        "100.127.255.255",
        "192.0.0.1",
        "192.0.2.1",
        "198.18.0.1",
        "198.19.255.255",
        "198.51.100.7",
        "203.0.113.7",
        "224.0.0.1",
        "239.1.1.1",
        "240.0.0.1",
        "255.255.255.255",
        "[fc00::1]",
        "[fdff::1]",
        "[fe80::1]",
        "[fec0::1]",
        "[ff02::1]",
        "[2001:db8::1]",
        "[3fff::1]",
        // IPv4 inside IPv6
        "[64:ff9b::a00:1]",
        "[64:ff9b:1::1]",
        "[2002:7f00:1::]",
        "[2001::1]",
        "[2001:0:4136:e378:8000:63bf:3fff:fdd2]",
        // names
        "localhost",
        "kubernetes",
        "kubernetes.default.svc",
        "x.svc.cluster.local",
        "x.svc.cluster.local.",
        "LOCALHOST.",
        "printer.local",
    ];
    for host in hosts {
        let url = Url::parse(&format!("https://{host}/x")).unwrap();
        assert!(AddressPolicy::default().check_url(&url).is_err(), "{host}");
        assert_eq!(AddressPolicy { allow_private: true, ..AddressPolicy::default() }.check_url(&url), Ok(()), "{host}");
    }
}

#[test]
fn public_addresses_and_names_are_let_through() {
    for host in [
        "8.8.8.8",
        "1.1.1.1",
        "100.63.255.255",
        "100.128.0.0",
        "172.15.255.255",
        "172.32.0.0",
        "192.0.1.0",
        "198.17.255.255",
        "198.20.0.0",
        "223.255.255.255",
        "[2606:4700::1111]",
        "[2001:4860:4860::8888]",
        "[2003::1]",
        "example.com",
        "internal.example.com",
    ] {
        assert_eq!(AddressPolicy::default().check_url(&Url::parse(&format!("https://{host}/")).unwrap()), Ok(()), "{host}");
    }
}

#[test]
fn only_ports_of_public_servers_are_reached() {
    for (url, expected) in [
        ("https://example.com/", true),
        ("http://example.com/", true),
        ("https://example.com:8443/", true),
        ("https://example.com:22/", false),
        ("http://example.com:2379/", false),
        ("https://example.com:6443/", false),
        ("https://example.com:10250/", false),
        ("https://example.com:0/", false),
    ] {
        assert_eq!(AddressPolicy::default().check_url(&Url::parse(url).unwrap()).is_ok(), expected, "{url}");
    }
}

#[test]
fn an_allowed_network_is_reached_and_its_neighbour_is_not() {
    let policy = AddressPolicy { allowed: vec!["10.1.0.0/16".parse().unwrap()], ..AddressPolicy::default() };
    assert_eq!(policy.check("10.1.2.3".parse().unwrap()), Ok(()));
    assert_eq!(policy.check("10.2.2.3".parse().unwrap()), Err(Refused { what: "10.2.2.3".to_owned(), why: "private" }));
}

#[tokio::test]
async fn a_name_is_judged_by_its_addresses() {
    // The one name that resolves without a network.
    let policy = AddressPolicy { allow_private: true, ..AddressPolicy::default() };
    assert!(policy.resolve("localhost").await.unwrap().iter().all(|address| address.ip().is_loopback()));
    assert!(matches!(AddressPolicy::default().resolve("localhost").await, Err(ResolveError::Refused(_))));
}
