//! Guests that reach for files: links planted in outputs, inputs written to, ways out by `..`, outputs without end.

use super::guest::{calls, start};
use super::{left, reason, run};
use crate::guests;
use crate::ran::{Place, Ran, ended, files};

fn told(ran: &Ran) -> Vec<u16> {
    ran.stdout.lines().map(|number| number.parse().unwrap()).collect()
}

/// Runs these calls in this place and compares what each answered.
fn answers(place: &Place, words: &[&str], rows: &[(&str, u16)]) {
    let (ran, _) = run(place, &calls(rows.iter().map(|(line, _)| *line)), "", words);
    let answered: Vec<_> = rows.iter().map(|(line, _)| *line).zip(told(&ran)).collect();
    assert_eq!(answered, rows, "{ran:?}");
    assert_eq!((ran.code, ran.stderr.as_str()), (Some(0), ""));
}

#[test]
fn what_must_not_be_published_refuses_the_output_by_its_path() {
    let rows: [(&str, &[&str], &str); 6] = [
        ("a link out", &["path_symlink '../../canary' 3 'x'"], "\"x\": a symbolic link"),
        ("a link that stays", &["path_symlink 'y' 3 'x'"], "\"x\": a symbolic link"),
        (
            "a link deep down",
            &["path_create_directory 3 'd'", "path_create_directory 3 'd/e'", "path_symlink '..' 3 'd/e/up'"],
            "\"d/e/up\": a symbolic link",
        ),
        ("a second name", &["path_open 3 0 'a' 1 64 0 0 16", "path_link 3 0 'a' 3 'b'"], "a hard link: the file has another name"),
        ("a line break in a name", &["path_open 3 0 'a\nb' 1 64 0 0 16"], r#""a\nb": "#),
        ("a backslash in a name", &["path_open 3 0 'a\\b' 1 64 0 0 16"], r#""a\\b": "#),
    ];
    for (what, lines, said) in rows {
        // A good file beside it is not published either, and what an earlier run left stays.
        let before = Place::new();
        before.write("canary", "sings");
        let good = calls(["path_open 3 0 'good' 1 64 0 0 16"]);
        assert_eq!(run(&before, &good, "", &[]).0.code, Some(0));
        let (ran, status) = run(&before, &calls(std::iter::once("path_open 3 0 'new' 1 64 0 0 16").chain(lines.iter().copied())), "", &[]);
        assert_eq!((ran.code, reason(&status)), (Some(125), "OutputUnsafe"), "{what}: {ran:?}");
        assert!(told(&ran).iter().all(|errno| *errno == 0), "{what}: {ran:?}");
        assert!(ran.stderr.starts_with("wasmjob: OutputUnsafe: output \"outputs\": ") && ran.stderr.contains(said), "{what}: {ran:?}");
        assert!(ran.stderr.ends_with("only plain files and directories are published\n"), "{what}: {ran:?}");
        assert_eq!(status.get("results"), None, "{what}");
        assert_eq!(left(&before), ["canary", "job.yaml", "out", "p.wasm", "s.json"], "{what}");
        assert_eq!(files(&before.path().join("out")), ["good"], "{what}");
    }
}

#[test]
fn a_guest_that_failed_publishes_nothing_unsafe_either() {
    let place = Place::new();
    let module = start(
        "(i32.store8 (i32.const 2048) (i32.const 46))
         (drop (call $path_symlink (i32.const 1024) (i32.const 5) (i32.const 3) (i32.const 1024) (i32.const 5)))
         (call $proc_exit (i32.const 3))",
    );
    let (ran, status) = run(&place, &module, "", &[]);
    assert_eq!((ran.code, reason(&status)), (Some(3), "GuestExit"), "{ran:?}");
    assert!(ran.stderr.contains("\"ready\": a symbolic link"), "{ran:?}");
    assert_eq!(left(&place), ["job.yaml", "p.wasm", "s.json"]);
}

/// The first output is good, and its store is nowhere: nobody asks for it.
#[test]
fn of_several_outputs_none_is_sent_where_one_is_refused() {
    let place = Place::new();
    let module = calls(["path_open 3 0 'good' 1 64 0 0 16", "path_symlink 'y' 4 'x'"]);
    let yaml = place.write("p.wasm", module).run(&["run", "p.wasm", "--dry-run"]).stdout;
    let outputs = "  outputs:
  - {name: first, mountPath: /first, publish: [{s3: {bucket: nobody, prefix: p/, region: x, endpoint: 'http://127.0.0.1:9'}}]}
  - {name: second, mountPath: /second}\n";
    place.write("job.yaml", yaml + outputs);
    let mut command = place.command(&["run", "job.yaml"]);
    command.env("AWS_ACCESS_KEY_ID", "a").env("AWS_SECRET_ACCESS_KEY", "b").env("AWS_REGION", "x");
    let ran = ended(command.spawn().unwrap());
    assert!(ran.stderr.starts_with("wasmjob: OutputUnsafe: output \"second\": output \"x\": a symbolic link"), "{ran:?}");
    assert_eq!((ran.code, left(&place)), (Some(125), vec!["job.yaml".to_owned(), "p.wasm".to_owned()]));
}

#[test]
fn an_output_beyond_its_limit_ends_the_run_and_leaves_nothing() {
    let open = |name: &str| {
        format!(
            "(drop (call $path_open (i32.const 3) (i32.const 0) {name} (i32.const 9) (i64.const 64) (i64.const 0) (i32.const 0) (i32.const 16)))"
        )
    };
    let fixed = open("(i32.const 1024) (i32.const 5)");
    // A vector of 64 KiB at 8.
    let much = "(i32.store (i32.const 8) (i32.const 65536)) (i32.store (i32.const 12) (i32.const 65536))";
    let write = "(call $fd_write (i32.load (i32.const 16)) (i32.const 8) (i32.const 1) (i32.const 24))";
    let rows = [
        ("one file", start(&format!("{fixed} {much} (loop $more (br_if $more (i32.eqz {write})))"))),
        ("one file, however often it is told", start(&format!("{fixed} {much} (loop $more (drop {write}) (br $more))"))),
        (
            "many files",
            start(&format!(
                "(local $n i32) {much} (loop $more
                   (i32.store (i32.const 2048) (i32.or (i32.const 0x41414141) (i32.and (local.get $n) (i32.const 0x1f1f1f1f))))
                   {} (drop {write}) (drop (call $fd_close (i32.load (i32.const 16))))
                   (local.set $n (i32.add (local.get $n) (i32.const 1))) (br $more))",
                open("(i32.const 2048) (i32.const 4)")
            )),
        ),
        ("a hole", calls(["path_open 3 0 'hole' 1 64 0 0 16", "fd_filestat_set_size [16] 1048577"])),
        ("a byte far out", calls(["path_open 3 0 'hole' 1 64 0 0 16", "fd_pwrite [16] 8 1 1048572 24"])),
    ];
    for (what, module) in rows {
        let place = Place::new();
        let (ran, status) = run(&place, &module, "  timeoutSeconds: 60\n  outputs: [{name: outputs, sizeLimit: 1Mi}]\n", &[]);
        assert_eq!((ran.code, reason(&status)), (Some(125), "OutputTooLarge"), "{what}: {ran:?}");
        assert!(ran.stderr.starts_with("wasmjob: OutputTooLarge: output \"outputs\""), "{what}: {ran:?}");
        assert!(
            ran.stderr.contains("sizeLimit") && ran.stderr.contains("1048576 bytes") && ran.stderr.matches("1048576").count() == 1,
            "{what}: {ran:?}"
        );
        assert_eq!(left(&place), ["job.yaml", "p.wasm", "s.json"], "{what}");
    }
}

#[test]
fn an_output_of_exactly_its_limit_is_kept() {
    let place = Place::new();
    let module =
        calls(["path_open 3 0 'hole' 1 64 0 0 16", "fd_filestat_set_size [16] 1048576", "fd_filestat_set_size [16] 1099511627776"]);
    let (ran, _) = run(&place, &module, "  outputs: [{name: outputs, sizeLimit: 1Mi}]\n", &[]);
    assert_eq!((ran.code, told(&ran)), (Some(0), vec![0, 0, 22]), "{ran:?}");
    assert_eq!(place.path().join("out/hole").metadata().unwrap().len(), 1 << 20);
}

#[test]
fn inputs_cannot_be_changed() {
    let place = Place::new();
    place.write("data/a.txt", "as it was\n").write("data/d/b.txt", "below\n");
    answers(
        &place,
        &["-i", "data/"],
        &[
            ("path_open 3 0 'a.txt' 0 64 0 0 16", 63),
            ("path_open 3 0 'a.txt' 0 66 0 1 16", 63),
            ("path_open 3 0 'a.txt' 8 64 0 0 16", 63),
            ("path_open 3 0 'new' 1 64 0 0 16", 63),
            ("path_open 3 0 'a.txt' 0 2 0 0 16", 0),
            ("fd_write [16] 8 1 24", 8),
            ("fd_pwrite [16] 8 1 0 24", 8),
            ("fd_filestat_set_size [16] 0", 63),
            ("fd_filestat_set_times [16] 0 0 5", 63),
            ("path_filestat_set_times 3 0 'a.txt' 0 0 5", 63),
            ("path_rename 3 'a.txt' 3 'b.txt'", 63),
            ("path_rename 3 'a.txt' 4 'b.txt'", 63),
            ("path_unlink_file 3 'a.txt'", 63),
            ("path_remove_directory 3 'd'", 63),
            ("path_create_directory 3 'e'", 63),
            ("path_link 3 0 'a.txt' 3 'c.txt'", 63),
            ("path_link 3 0 'a.txt' 4 'c.txt'", 63),
            ("path_symlink 'a.txt' 3 'l'", 63),
        ],
    );
    assert_eq!(left(&place), ["data", "job.yaml", "p.wasm", "s.json"]);
    assert_eq!((place.read("data/a.txt"), place.read("data/d/b.txt")), ("as it was\n".to_owned(), "below\n".to_owned()));
    // What is kept of them for later runs is as it was, too.
    let ran = place.write("r.wasm", guests::reads_inputs()).run(&["run", "r.wasm", "-i", "data/"]);
    assert_eq!((ran.code, ran.stdout.as_str()), (Some(0), "as it was\n"), "{ran:?}");
}

#[test]
fn nothing_outside_is_reached() {
    let place = Place::new();
    // Outputs are gathered two levels below it.
    place.write("canary", "sings").write("data/a.txt", "");
    let long = format!("path_open 4 0 '{}' 0 2 0 0 16", "a/".repeat(2049));
    let name = format!("path_open 4 0 '{}' 0 2 0 0 16", "a".repeat(256));
    let absolute = place.path().join("canary").display().to_string();
    let absolute = format!("path_open 4 0 '{absolute}' 0 2 0 0 16");
    answers(
        &place,
        &["-i", "data/"],
        &[
            ("path_open 4 0 '../../canary' 0 2 0 0 16", 63),
            ("path_open 3 0 '../../../store' 2 0 0 0 16", 63),
            ("path_open 4 0 '..' 2 0 0 0 16", 63),
            ("path_open 4 0 '/etc/passwd' 0 2 0 0 16", 63),
            ("path_open 4 0 '//etc/passwd' 0 2 0 0 16", 63),
            (&absolute, 63),
            ("path_open 4 0 './../../canary/' 0 2 0 0 16", 63),
            ("path_open 4 0 '/proc/self/fd/3' 0 2 0 0 16", 63),
            ("path_filestat_get 4 0 '../../canary' 65536", 63),
            ("path_filestat_set_times 4 0 '../../canary' 0 0 5", 63),
            ("path_unlink_file 4 '../../canary'", 63),
            ("path_rename 4 '../../canary' 4 'mine'", 63),
            ("path_create_directory 4 '../../made'", 63),
            ("path_remove_directory 4 '../new'", 63),
            ("path_link 4 0 '../../canary' 4 'mine'", 63),
            ("path_symlink '/etc/passwd' 4 'x'", 63),
            ("path_create_directory 4 'd'", 0),
            ("path_open 4 0 'd/../../../canary' 0 2 0 0 16", 63),
            ("path_symlink '../../canary' 4 'x'", 0),
            ("path_open 4 1 'x' 0 2 0 0 16", 63),
            ("path_open 4 0 'x' 0 2 0 0 16", 32),
            ("path_open 4 1 'x/' 0 2 0 0 16", 63),
            ("path_open 4 1 'x' 1 64 0 0 16", 63),
            ("path_filestat_get 4 1 'x' 65536", 63),
            ("path_link 4 1 'x' 4 'mine'", 28),
            ("path_unlink_file 4 'x'", 0),
            ("path_symlink '../..' 4 'up'", 0),
            ("path_open 4 1 'up/canary' 0 2 0 0 16", 63),
            ("path_create_directory 4 'up/made'", 63),
            ("path_rename 4 'd' 4 'up/d'", 63),
            ("path_unlink_file 4 'up'", 0),
            ("path_remove_directory 4 'd'", 0),
            (&long, 37),
            (&name, 37),
            ("path_open 4 0 'a\0b' 0 2 0 0 16", 28),
            ("path_open 4 0 '' 0 2 0 0 16", 44),
        ],
    );
    assert_eq!(left(&place), ["canary", "data", "job.yaml", "p.wasm", "s.json"]);
    assert_eq!(place.read("canary"), "sings");
}
