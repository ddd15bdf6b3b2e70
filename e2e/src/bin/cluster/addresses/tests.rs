use std::collections::BTreeSet;

use super::*;

/// Whatever this process may have.
#[test]
fn places_differ_and_are_free() {
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("network");
    let rows = [
        Addresses::take(&file),
        Addresses::Shared { address: IpAddr::V4(Ipv4Addr::LOCALHOST), why: "a test".to_owned() },
        Addresses::Loopback { why: "a test".to_owned() },
    ];
    for addresses in rows {
        let places = addresses.places(101).expect("found");
        assert_eq!(places.iter().collect::<BTreeSet<_>>().len(), 101, "{}", addresses.told());
        let listening: Vec<_> = places.iter().map(TcpListener::bind).collect();
        assert!(listening.iter().all(Result::is_ok), "{}: {listening:?}", addresses.told());
        let own = matches!(addresses, Addresses::Own(_));
        drop((listening, addresses));
        assert!(!own || TcpListener::bind(places[0]).is_err(), "the network is there as long as its value");
        assert!(!file.exists());
    }
    give_back(&file).expect("there is nothing to take away");
}
