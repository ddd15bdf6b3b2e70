//! Which gateways are asked, by who names them.

use super::*;

fn url(text: &str) -> Url {
    Url::parse(text).expect("rows hold URLs")
}

#[test]
fn gateways_come_from_flags_then_the_variable_then_files_then_the_public() {
    let home = tempfile::tempdir().expect("the temporary directory is writable");
    let nobody = Environment { home: Some(home.path().to_owned()), ..Environment::default() };
    let gateways = |flags: &[Url], environment: &Environment| ipfs_access(flags, None, environment).map(|access| access.gateways);
    assert_eq!(gateways(&[], &nobody), Ok(PUBLIC_GATEWAYS.map(url).to_vec()));

    std::fs::create_dir_all(home.path().join(".ipfs")).expect("the place is writable");
    std::fs::write(home.path().join(".ipfs/gateway"), "\nhttp://127.0.0.1:8080 \n").expect("the place is writable");
    assert_eq!(gateways(&[], &nobody), Ok(vec![url("http://127.0.0.1:8080")]));

    let set = Environment { ipfs_gateway: Some("https://a.example https://b.example".to_owned()), ..nobody };
    assert_eq!(gateways(&[], &set), Ok(vec![url("https://a.example"), url("https://b.example")]));
    assert_eq!(gateways(&[url("https://flag.example")], &set), Ok(vec![url("https://flag.example")]));
}

#[test]
fn a_node_is_asked_where_a_flag_names_it() {
    let api = url("http://127.0.0.1:5001");
    let access = ipfs_access(&[], Some(&api), &Environment::default()).expect("nothing is wrong");
    assert_eq!(access.rpc, [api]);
}

#[test]
fn a_setting_that_is_no_url_is_said_with_its_place() {
    let set = Environment { ipfs_gateway: Some("/ip4/127.0.0.1/tcp/8080".to_owned()), ..Environment::default() };
    let error = ipfs_access(&[], None, &set).expect_err("a multiaddress is no URL");
    assert_eq!(error.to_string(), "IPFS_GATEWAY names \"/ip4/127.0.0.1/tcp/8080\", which is no http:// or https:// URL of an IPFS gateway");
}
