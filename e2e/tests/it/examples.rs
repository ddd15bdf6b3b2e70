//! Every example under `examples/` does what its documentation says, and so does the job under `manifests/samples/` that runs it.

use std::fmt::Write as _;
use std::fs;
use std::path::PathBuf;

use e2e::Server;
use sha2::{Digest as _, Sha256};

use crate::oci::registry_of_samples;
use crate::place::{Place, Ran, example, examples, files};
use crate::svg;

/// It succeeded, printed this and complained of nothing.
fn printed(ran: &Ran, stdout: &str) {
    assert_eq!((ran.code, ran.stdout.as_str(), ran.stderr.as_str()), (Some(0), stdout, ""));
}

/// It trapped, its own last words first, then ours with where it was, and the status has both.
fn trapped(place: &Place, ran: &Ran, words: &str) {
    assert_eq!((ran.code, ran.stdout.as_str()), (Some(134), ""), "{ran:?}");
    let (guest, ours) = ran.stderr.split_once("wasmjob: Trap: ").unwrap_or_else(|| panic!("{ran:?}"));
    assert!(guest.contains("panicked at") && guest.contains(words), "{ran:?}");
    assert!(ours.contains("unreachable") && ours.contains("main"), "{ran:?}");
    let status = place.status();
    assert_eq!((&status["conditions"][0]["reason"], &status["output"]["exitCode"]), (&"Trap".into(), &134.into()), "{status}");
    assert!(status["output"]["stderrTail"].as_str().is_some_and(|tail| tail.contains(words)), "{status}");
}

#[test]
fn fibonacci_counts_as_far_as_stdin_says() {
    let (place, module) = (Place::new(), example("fibonacci/fibonacci.wasm"));
    printed(&place.run(&["run", &module]), "The first 5 fibonacci numbers are: [0, 1, 1, 2, 3]\n");
    for (stdin, list) in [
        (&b"10"[..], "[0, 1, 1, 2, 3, 5, 8, 13, 21, 34]\n"),
        (b"10\n", "[0, 1, 1, 2, 3, 5, 8, 13, 21, 34]\n"),
        (b"no number", "[0]\n"),
        (b"\xff\xfe\0", "[0]\n"),
        (b"0", "[]\n"),
    ] {
        printed(&place.run_with_stdin(&["run", &module], stdin), list);
    }
    let ran = place.run_with_stdin(&["run", &module], b"1000");
    assert!(ran.code == Some(1) && ran.stderr.starts_with("only the first 187 "), "{ran:?}");
}

#[test]
fn hello_greets_and_a_panic_is_a_trap_with_its_text() {
    let (place, module) = (Place::new(), example("hello-json/hello-json.wasm"));
    let event = br#"{"key1": "test value 1", "key2": "test value 2"}"#;
    printed(&place.run_with_stdin(&["run", &module], event), "Hello! test value 1, test value 2\n");
    for bad in [&b"{\"key1\": \"only\"}"[..], b"no JSON", b"", b"{\"key1\": 1, \"key2\": 2}"] {
        let ran = place.run_with_stdin(&["run", &module, "--status-file", "s.json"], bad);
        trapped(&place, &ran, "stdin must be a JSON object with the texts `key1` and `key2`");
    }
}

#[test]
fn principal_components_become_a_picture() {
    let (place, module, event) = (Place::new(), example("pca-svg/pca-svg.wasm"), example("pca-svg/event.json"));
    let ran = place.run(&["run", &module, "--stdin", &event]);
    assert_eq!((ran.code, ran.stderr.as_str()), (Some(0), ""));
    let flowers = fs::read_to_string(example("pca-svg/flowers.csv")).expect("read");
    let points = flowers.split([',', '\n']).filter(|number| !number.trim().is_empty()).count() / 2;
    svg::shows(&ran.stdout, points);

    let ran = place.run_with_stdin(&["run", &module], br#"{"body": "0,0,10,1,20,2,30,3.5", "httpMethod": "POST"}"#);
    assert_eq!(ran.code, Some(0), "{ran:?}");
    svg::shows(&ran.stdout, 4);
    let ran = place.run_with_stdin(&["run", &module, "--status-file", "s.json"], br#"{"body": "1,2,three,4"}"#);
    trapped(&place, &ran, "\"three\" where a number belongs");
}

#[test]
fn echo_prints_its_arguments_and_without_any_its_environment() {
    let (place, module) = (Place::new(), example("echo/echo.wasm"));
    printed(&place.run(&["run", &module, "hello", "world"]), "hello world\n");
    printed(&place.run(&["run", &module, "hello", "-e", "HELLO=there", "world"]), "hello world\n");
    printed(&place.run(&["run", &module, "--", "-e", "HELLO=world", "--help"]), "-e HELLO=world --help\n");
    let ran = place.run(&["run", &module, "-e", "HELLO=world", "-e", "EMPTY=", "--env", "TEXT=a=b ü"]);
    let variables: Vec<_> = ran.stdout.lines().collect();
    for expected in ["HELLO=world", "EMPTY=", "TEXT=a=b ü", "WASMJOB_NAME=echo", "JOB_COMPLETION_INDEX=0"] {
        assert!(variables.contains(&expected), "{expected}: {ran:?}");
    }
    assert!(!ran.stdout.contains("HOME=") && !ran.stdout.contains("IPFS_GATEWAY"), "{ran:?}");
}

#[test]
fn cat_reads_inputs_by_absolute_and_relative_paths() {
    let (place, module) = (Place::new(), example("cat/cat.wasm"));
    place.write("data.txt", "some data\n").write("more/b.txt", "b\n").write("more/a.txt", "a\n");
    for path in ["/inputs/data.txt", "inputs/data.txt"] {
        printed(&place.run(&["run", &module, "-i", "data.txt", path]), "some data\n");
    }
    printed(&place.run(&["run", &module, "-i", "more", "/inputs", "/inputs/b.txt"]), "a.txt\nb.txt\nb\n");
    printed(&place.run(&["run", &module, "-i", "data.txt", "-i", "more:/m/ore", "/m/ore/a.txt", "/inputs/data.txt"]), "a\nsome data\n");
    printed(&place.run_with_stdin(&["run", &module], b"piped"), "piped");
    let ran = place.run(&["run", &module, "-i", "data.txt", "/inputs/none", "/etc/passwd", "/inputs/../../etc/passwd"]);
    assert_eq!((ran.code, ran.stdout.as_str()), (Some(1), ""), "{ran:?}");
    assert_eq!(ran.stderr.lines().filter(|line| line.starts_with("cat: ")).count(), 3, "{ran:?}");
}

#[test]
fn a_c_program_counts_words() {
    let (place, module) = (Place::new(), example("wordcount-c/wordcount.wasm"));
    place.write("one.txt", "two words\nand three more\n").write("two.txt", "");
    printed(&place.run_with_stdin(&["run", &module], b"a b\n"), "1 2 4\n");
    let words = ["run", &module, "-i", "one.txt", "-i", "two.txt:/t", "inputs/one.txt", "/t/two.txt"];
    printed(&place.run(&words), "2 5 25 inputs/one.txt\n0 0 0 /t/two.txt\n");
    let ran = place.run(&["run", &module, "nowhere"]);
    assert!(ran.code == Some(1) && ran.stderr.starts_with("wordcount: cannot read nowhere\n"), "{ran:?}");
}

#[test]
fn a_go_program_walks_relative_folders_and_keeps_its_list() {
    let (place, module) = (Place::new(), example("target/guests/checksum.wasm"));
    let zeros = vec![0; 100_000];
    place.write("data/a.txt", "a").write("data/deep/b.bin", &zeros);
    for folder in ["/inputs", "inputs", "./inputs"] {
        let root = folder.trim_start_matches("./");
        let mut lines = String::new();
        for (path, bytes) in [("a.txt", &b"a"[..]), ("deep/b.bin", &zeros)] {
            writeln!(lines, "{} {} {root}/{path}", hex::encode(Sha256::digest(bytes)), bytes.len()).expect("written");
        }
        printed(&place.run(&["run", &module, "-i", "data", folder]), &lines);
        assert_eq!(place.read("checksum-outputs/SHA256SUMS"), lines);
    }
    let ran = place.run(&["run", &module, "nowhere"]);
    assert!(ran.code == Some(1) && ran.stderr.starts_with("checksum: "), "{ran:?}");
}

#[test]
fn a_component_has_files_clocks_and_random_numbers() {
    let (place, module) = (Place::new(), example("component/component.wasm"));
    let hello = "Hello from a component\nwall clock after 1970: true\nmonotonic clock goes on: true\ntwo random numbers differ: true\n";
    printed(&place.run(&["run", &module, "--status-file", "s.json"]), hello);
    assert_eq!(place.status()["module"]["kind"], "Component");
    place.write("data.txt", "some data\n");
    let words = ["run", &module, "-i", "data.txt", "copy", "inputs/data.txt", "/outputs/copy.txt"];
    printed(&place.run(&words), "copied 10 bytes from inputs/data.txt to /outputs/copy.txt\n");
    assert_eq!(place.read("component-outputs/copy.txt"), "some data\n");
    let ran = place.run(&["run", &module, "-i", "data.txt", "copy", "/inputs/data.txt", "/inputs/copy.txt"]);
    assert!(ran.code == Some(1) && ran.stderr.starts_with("cannot copy "), "inputs are not written to: {ran:?}");
}

#[test]
fn a_component_knows_its_arguments_and_variables_and_exits_as_it_likes() {
    let place = Place::new();
    place.write("knows.wasm", wat::parse_str(include_str!("guests/knows_its_call.wat")).expect("a component"));
    let rows: [(&[&str], i32); 4] =
        [(&["hello", "-e", "HELLO=world"], 0), (&["hello"], 1), (&["-e", "HELLO=world"], 1), (&["hello", "there", "-e", "HELLO=world"], 1)];
    for (words, code) in rows {
        let ran = place.run(&[&["run", "knows.wasm"], words].concat());
        assert_eq!(ran.code, Some(code), "{words:?}: {ran:?}");
    }
}

// === manifests/samples ===

fn samples() -> Vec<PathBuf> {
    let folder = examples().join("../manifests/samples");
    let entries = fs::read_dir(&folder).unwrap_or_else(|error| panic!("{}: {error}", folder.display()));
    let mut found: Vec<_> = entries.map(|entry| entry.expect("an entry").path()).collect();
    found.sort();
    found
}

#[test]
fn every_sample_would_be_accepted() {
    let files: Vec<_> = samples().iter().map(|path| path.display().to_string()).collect();
    let ran = Place::new().run(&[&["validate"], &files.iter().map(String::as_str).collect::<Vec<_>>()[..]].concat());
    assert_eq!((ran.code, ran.stderr.as_str()), (Some(0), ""), "{ran:?}");
    assert_eq!(ran.stdout.lines().filter(|line| line.ends_with(": accepted")).count(), files.len(), "{ran:?}");
}

/// What a sample prints and the files it leaves.
fn sample(name: &str, stdout: &str, kept: &[String]) {
    let input = |path: &str| fs::read_to_string(example(path)).expect("read");
    let checksum = |path: &str, seen: &str| {
        let bytes = fs::read(example(path)).expect("read");
        format!("{} {} {seen}\n", hex::encode(Sha256::digest(&bytes)), bytes.len())
    };
    let (expected, files): (String, &[&str]) = match name {
        "cat" => ("It is all in here.\n".to_owned() + &input("pca-svg/flowers.csv"), &[]),
        "checksum" => {
            let flowers = checksum("pca-svg/flowers.csv", "/inputs/flowers/flowers.csv");
            (flowers + &checksum("images/image0.JPG", "/inputs/image0.JPG"), &["SHA256SUMS"])
        }
        "component" => {
            let bytes = input("pca-svg/flowers.csv").len();
            (format!("copied {bytes} bytes from inputs/flowers.csv to outputs/copy.csv\n"), &["copy.csv"])
        }
        "echo" => ("hello world\n".to_owned(), &[]),
        "fibonacci" => ("[0, 1, 1, 2, 3, 5, 8, 13, 21, 34]\n".to_owned(), &[]),
        "hello-json" => ("Hello! test value 1, test value 2\n".to_owned(), &[]),
        "oci" => (input("pca-svg/flowers.csv"), &[]),
        "pca-svg" => {
            svg::shows(stdout, input("pca-svg/flowers.csv").split([',', '\n']).filter(|number| !number.trim().is_empty()).count() / 2);
            (stdout.to_owned(), &[])
        }
        "seam-carver" => (
            "Removing seam 0\nRemoving seam 100\nRemoving seam 200\n".to_owned(),
            &["annotated.png", "annotated_gradients.png", "gradients.png", "original.png", "shrunk.png"],
        ),
        "wordcount" => ("2 10 46\n".to_owned(), &[]),
        _ => panic!("manifests/samples/{name}.yaml has no row here: say what it prints"),
    };
    assert_eq!((stdout, kept), (expected.as_str(), &files.iter().map(|&file| file.to_owned()).collect::<Vec<_>>()[..]), "{name}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_sample_runs_as_it_says() {
    let registry = registry_of_samples().await;
    let server = Server::start().expect("it starts");
    server.folder("/", &examples());
    example("target/guests/checksum.wasm");
    for path in samples() {
        let name = path.file_stem().expect("a name").to_str().expect("text");
        let place = Place::new();
        // Where the comment in each sample says that the files are served.
        let yaml = fs::read_to_string(&path).expect("read").replace("http://127.0.0.1:8080", server.url("").as_str());
        let yaml = yaml.replace("127.0.0.1:5000", &registry.host());
        let ran = place.write("job.yaml", yaml).run(&["run", "job.yaml"]);
        assert_eq!((ran.code, ran.stderr.as_str()), (Some(0), ""), "{name}: {ran:?}");
        let kept: Vec<_> = files(&place.path().join(format!("{name}-outputs"))).into_keys().collect();
        sample(name, &ran.stdout, &kept);
    }
}
