//! Rows: what is written on the command line, and what it names.

use super::*;

const CID0: &str = "QmajB9T3JBdMSp7xh2JruNrqg3hniCnM6EUVsBocARPJRQ";
const CID1: &str = "bafybeifdpl6dw7atz6uealwjdklolvxrocavceorhb3eoq6y53cbtitbeu";

fn local(path: &str) -> SourceArg {
    SourceArg::Local(PathBuf::from(path))
}

fn http(url: &str) -> SourceArg {
    SourceArg::Http(HttpSource { url: url.to_owned() })
}

fn ipfs(cid: &str, path: Option<&str>) -> SourceArg {
    SourceArg::Ipfs(IpfsSource { cid: cid.to_owned(), path: path.map(str::to_owned) })
}

fn oci(image: &str) -> SourceArg {
    SourceArg::Oci(OciSource { image: image.to_owned() })
}

fn s3(key: Option<&str>, prefix: Option<&str>) -> SourceArg {
    let owned = |text: Option<&str>| text.map(str::to_owned);
    SourceArg::S3(S3Source { bucket: "b".to_owned(), key: owned(key), prefix: owned(prefix), ..S3Source::default() })
}

fn check_input(text: &str, source: SourceArg, path: Option<&str>) {
    assert_eq!(parse_input(text), Ok(InputArg { source, mount_path: path.map(str::to_owned) }), "{text}");
}

#[test]
fn inputs_split_at_the_last_colon_that_begins_a_path() {
    check_input("data.csv", local("data.csv"), None);
    check_input("data.csv:/inputs", local("data.csv"), Some("/inputs"));
    check_input("./a:b:/x", local("./a:b"), Some("/x"));
    check_input("./a:b", local("./a:b"), None);
    check_input("data/:/in/", local("data/"), Some("/in"));
    check_input("/abs/file:/x", local("/abs/file"), Some("/x"));
    check_input("file:///abs/file:/x", local("/abs/file"), Some("/x"));
    check_input("https://host/a", http("https://host/a"), None);
    check_input("https://host/a:/inputs", http("https://host/a"), Some("/inputs"));
    check_input("https://host:8080/a", http("https://host:8080/a"), None);
    check_input("https://host:8080/a:/inputs", http("https://host:8080/a"), Some("/inputs"));
    check_input("https://host:8080", http("https://host:8080"), None);
    check_input("https://host:8080:/inputs", http("https://host:8080"), Some("/inputs"));
    check_input("http://example.com", http("http://example.com"), None);
    check_input("http://example.com:/inputs", http("http://example.com"), Some("/inputs"));
    check_input("http://[::1]:9000/a:/in", http("http://[::1]:9000/a"), Some("/in"));
    check_input("http://[::1]/a", http("http://[::1]/a"), None);
    check_input("https://h/x?t=12:30", http("https://h/x?t=12:30"), None);
    check_input("https://h/a?u=http://other/b", http("https://h/a?u=http://other/b"), None);
    check_input("HTTPS://h/a", http("HTTPS://h/a"), None);
    check_input("s3://b/k:/in", s3(Some("k"), None), Some("/in"));
    check_input("s3://b/2026-01-01T00:00:00.csv", s3(Some("2026-01-01T00:00:00.csv"), None), None);
    check_input("s3://b/dir/:/in", s3(None, Some("dir/")), Some("/in"));
    check_input("s3://b", s3(None, Some("")), None);
    check_input("s3://b/", s3(None, Some("")), None);
    check_input(CID0, ipfs(CID0, None), None);
    check_input(&format!("{CID1}:inputs"), ipfs(CID1, None), Some("/inputs"));
    check_input(&format!("{CID1}:/inputs"), ipfs(CID1, None), Some("/inputs"));
    check_input(&format!("{CID1}/a/b.png:in"), ipfs(CID1, Some("a/b.png")), Some("/in"));
    check_input(&format!("ipfs://{CID0}/a:/in"), ipfs(CID0, Some("a")), Some("/in"));
    check_input(&format!("ipfs://{CID0}:in"), ipfs(CID0, None), Some("/in"));
    check_input(&format!("/ipfs/{CID0}/"), ipfs(CID0, None), None);
    check_input("oci://ghcr.io/team/prog:1.2", oci("ghcr.io/team/prog:1.2"), None);
    check_input("oci://localhost:5000/prog", oci("localhost:5000/prog"), None);
    check_input("oci://localhost:5000/prog:1:/in", oci("localhost:5000/prog:1"), Some("/in"));
    check_input("oci://a/b@sha256:00:/in", oci("a/b@sha256:00"), Some("/in"));
    check_input(&format!("./{CID0}"), local(&format!("./{CID0}")), None);
}

#[test]
fn what_names_no_source_is_refused_with_what_to_write() {
    let refusal = |text: &str| parse_input(text).expect_err(text);
    assert_eq!(refusal(""), "name a file, a URL, s3://BUCKET/KEY, ipfs://CID, a CID or oci://IMAGE");
    assert_eq!(refusal("ftp://h/a"), "ftp:// is no scheme that is fetched: use http, https, s3, ipfs or oci");
    assert_eq!(refusal("oci://"), "write oci://IMAGE, such as oci://ghcr.io/team/prog:1.2");
    assert_eq!(refusal("s3:///k"), "write s3://BUCKET/KEY, or s3://BUCKET/PREFIX/ for all objects under a prefix");
    assert!(refusal("ipfs://nocid/a").starts_with("\"nocid\" is no CID: "));
    assert_eq!(refusal("https://u:p@h/a"), "no user or password in a URL: they would stand in the job's YAML and status");
    assert_eq!(refusal("http://"), "empty host");
}

#[test]
fn a_target_is_a_document_by_its_extension_else_a_module() {
    let check = |text: &str, expected: Target| assert_eq!(parse_target(text), Ok(expected), "{text}");
    check("-", Target::DocumentOnStdin);
    check("job.yaml", Target::Document("job.yaml".into()));
    check("dir/job.YML", Target::Document("dir/job.YML".into()));
    check("job.json", Target::Document("job.json".into()));
    check("file:///tmp/job.json", Target::Document("/tmp/job.json".into()));
    check("prog.wasm", Target::Module(local("prog.wasm")));
    check("yaml", Target::Module(local("yaml")));
    check("https://h/p.wasm", Target::Module(http("https://h/p.wasm")));
    check("s3://b/p.wasm", Target::Module(s3(Some("p.wasm"), None)));
    check(CID0, Target::Module(ipfs(CID0, None)));
    check(&format!("ipfs://{CID1}/p.wasm"), Target::Module(ipfs(CID1, Some("p.wasm"))));
    assert!(parse_target("https://h/job.yaml").is_err());
    assert!(parse_target("s3://b/dir/").is_err());
}

#[test]
fn short_names_are_dns_labels_from_the_last_name() {
    let check = |text: &str, expected: &str| {
        assert_eq!(short_name(&parse_input(text).expect(text).source), expected, "{text}");
    };
    check("dir/Seam_Carve.wasm", "seam-carve");
    check("data/", "data");
    check("../..", "");
    check(".hidden", "hidden");
    check("archive.tar.gz", "archive-tar");
    check("https://example.com", "");
    check("https://example.com/a/iris.csv?x=y.z", "iris");
    check("s3://b/dir/iris.csv", "iris");
    check("s3://b/dir/sub/", "sub");
    check("s3://b", "");
    check("oci://ghcr.io/team/Seam_carve:1.2", "seam-carve");
    check("oci://localhost:5000/prog@sha256:00", "prog");
    check(CID0, "cid-sbocarpjrq");
    check(&format!("{CID0}/prog.wasm"), "prog");
    check(&format!("{}.wasm", "long-".repeat(20)), "long-long-long-long-long-long-long-long-long-long");
}
