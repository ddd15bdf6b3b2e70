//! Rows: what is set, and where things are then.

use super::*;

fn path(text: &str) -> PathBuf {
    PathBuf::from(text)
}

#[test]
fn the_cache_is_where_the_nearest_word_says() {
    let user = Environment { home: Some(path("/home/u")), ..Environment::default() };
    let xdg = Environment { xdg_cache_home: Some(path("/xdg")), ..user.clone() };
    let set = Environment { cache_directory: Some(path("/set")), ..xdg.clone() };
    assert_eq!(set.cache_directory(Some(Path::new("flag"))), Some(path("flag")));
    assert_eq!(set.cache_directory(None), Some(path("/set")));
    assert_eq!(xdg.cache_directory(None), Some(path("/xdg/wasmjob/run")));
    assert_eq!(user.cache_directory(None), Some(path("/home/u/.cache/wasmjob/run")));
    assert_eq!(Environment::default().cache_directory(None), None);
}

#[test]
fn gateway_files_are_those_of_the_users_ipfs_tools() {
    let user = Environment { home: Some(path("/home/u")), ..Environment::default() };
    let files = [PathBuf::from("/home/u/.ipfs/gateway"), PathBuf::from("/home/u/.config/ipfs/gateway")];
    assert_eq!(user.ipfs_gateway_files(), files);
    let xdg = Environment { xdg_config_home: Some(path("/xdg")), ..Environment::default() };
    assert_eq!(xdg.ipfs_gateway_files(), [PathBuf::from("/xdg/ipfs/gateway")]);
}
