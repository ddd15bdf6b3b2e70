use crate::generated_files;

#[test]
fn the_generated_files_equal_their_generator() {
    let root = concat!(env!("CARGO_MANIFEST_DIR"), "/..");
    for (path, content) in generated_files() {
        let committed = std::fs::read_to_string(format!("{root}/{path}")).unwrap_or_default();
        if std::env::var_os("TMP_WRITE").is_some() {
            std::fs::create_dir_all(std::path::Path::new(&format!("{root}/{path}")).parent().unwrap()).unwrap();
            std::fs::write(format!("{root}/{path}"), content).unwrap();
            continue;
        }
        assert!(committed == content, "{path} is not what its generator makes: run cargo xtask generate");
    }
}
