//! What a cluster gets in place of this machine's files.

use runner::task::LocalSources;

use super::*;
use crate::job_from_flags::job_for_module;
use crate::source_arg::SourceArg;

fn job_of_size(directory: &Path, bytes: usize) -> LocalJob {
    let path = directory.join("my prog.wasm");
    fs::write(&path, vec![0; bytes]).expect("the temporary directory is writable");
    job_for_module(&SourceArg::Local(path))
}

#[test]
fn a_small_module_goes_along_and_a_large_one_gets_a_place_and_its_digest() {
    let directory = tempfile::tempdir().expect("the temporary directory is writable");
    let small = for_cluster(&job_of_size(directory.path(), 3), None).expect("the file is there");
    assert_eq!((small.job.spec.run.module.inline.as_deref(), small.notes.len()), (Some("AAAA"), 0));

    let large = for_cluster(&job_of_size(directory.path(), 32_769), None).expect("the file is there");
    let module = &large.job.spec.run.module;
    assert_eq!(module.http, Some(HttpSource { url: "https://replace-me.example/my%20prog.wasm".to_owned() }));
    assert_eq!(module.digest, Some(Digest::from_bytes(Sha256::digest(vec![0; 32_769]).into())));
    assert!(yaml(&large).starts_with("# module: "), "{}", yaml(&large));
}

#[test]
fn inputs_of_this_machine_are_noted() {
    let directory = tempfile::tempdir().expect("the temporary directory is writable");
    let mut job = job_of_size(directory.path(), 3);
    let input = |name: &str| Input { name: name.to_owned(), ..Input::default() };
    job.job.spec.run.inputs = vec![input("file"), input("dir")];
    job.local = LocalSources {
        inputs: [("file".to_owned(), directory.path().join("my prog.wasm")), ("dir".to_owned(), directory.path().to_owned())].into(),
        ..job.local
    };
    let sent = for_cluster(&job, None).expect("the files are there");
    let [file, dir] = &sent.job.spec.run.inputs[..] else { unreachable!("there are two") };
    assert_eq!(file.http, Some(HttpSource { url: "https://replace-me.example/my%20prog.wasm".to_owned() }));
    assert!(dir.s3.as_ref().is_some_and(|s3| s3.bucket == "replace-me" && s3.prefix.is_some()), "{dir:?}");
    assert_eq!(sent.notes.len(), 2);
}

#[test]
fn stdin_goes_along_where_it_is_text() {
    let directory = tempfile::tempdir().expect("the temporary directory is writable");
    let job = job_of_size(directory.path(), 3);
    let path = directory.path().join("stdin");
    fs::write(&path, "10\n").expect("the temporary directory is writable");
    let sent = for_cluster(&job, Some(&path)).expect("the files are there");
    assert_eq!(sent.job.spec.run.stdin, Some(Stdin { value: Some("10\n".to_owned()), ..Stdin::default() }));
    fs::write(&path, [0xff]).expect("the temporary directory is writable");
    assert!(matches!(for_cluster(&job, Some(&path)), Err(Error::StdinNotText { .. })));
}
