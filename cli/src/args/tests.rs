//! Rows: words on the command line, and what they mean.

use super::*;

fn run(words: &[&str]) -> Result<RunArgs, clap::Error> {
    let words = ["wasmjob", "run"].iter().chain(words);
    match CommandLine::try_parse_from(words).map_err(with_hint)?.command {
        Command::Run(run) => Ok(*run),
        other => unreachable!("asked for run, got {other:?}"),
    }
}

#[test]
fn the_command_is_consistent() {
    CommandLine::command().debug_assert();
}

#[test]
fn flags_stand_before_and_after_the_module_until_two_dashes() {
    let check = |words: &[&str], args: &[&str], env: &[&str]| {
        let run = run(words).expect("the words make sense");
        let names: Vec<_> = run.env.iter().map(|variable| variable.name.as_str()).collect();
        assert_eq!((run.args.iter().map(String::as_str).collect::<Vec<_>>(), names), (args.to_vec(), env.to_vec()), "{words:?}");
    };
    check(&["p.wasm", "hello", "world"], &["hello", "world"], &[]);
    check(&["-e", "A=1", "p.wasm", "x", "-e", "B=2", "y"], &["x", "y"], &["A", "B"]);
    check(&["p.wasm", "--", "-e", "A=1"], &["-e", "A=1"], &[]);
    check(&["p.wasm", "-e", "A=1", "--", "--", "-x"], &["--", "-x"], &["A"]);
    check(&["--", "p.wasm", "-e"], &["-e"], &[]);
    check(&["p.wasm", "-5", "-0.5"], &["-5", "-0.5"], &[]);
    check(&["p.wasm", "-"], &["-"], &[]);
}

#[test]
fn an_unknown_flag_says_where_the_programs_own_flags_go() {
    for words in [&["p.wasm", "--width"][..], &["p.wasm", "-w", "5"], &["--width", "p.wasm"]] {
        let error = run(words).expect_err("the flag is not ours");
        assert_eq!(error.exit_code(), 2);
        assert!(error.to_string().contains("wasmjob run MODULE -- --its-flag"), "{error}");
    }
}

#[test]
fn timeouts_are_whole_seconds() {
    for (text, seconds) in [("300", 300), ("30s", 30), ("5m", 300), ("1h30m", 5400), ("24h", 86_400)] {
        assert_eq!(parse_timeout(text), Ok(seconds), "{text}");
    }
    for text in ["", "0", "-1", "500ms", "1.5s", "soon", "5 apples"] {
        assert!(parse_timeout(text).is_err(), "{text}");
    }
}

#[test]
fn a_thousandth_of_a_byte_is_refused_with_what_was_meant() {
    assert_eq!(parse_memory("256Mi"), Ok("256Mi".to_owned()));
    let refusal = "256m is a thousandth of 256 bytes, as Kubernetes writes quantities: write 256Mi";
    assert_eq!(parse_memory("256m"), Err(refusal.to_owned()));
}

#[test]
fn outputs_and_variables_are_split_at_their_first_mark() {
    let output = |name: &str, path: Option<&str>| OutputArg { name: name.to_owned(), mount_path: path.map(str::to_owned) };
    assert_eq!(parse_output("plots"), Ok(output("plots", None)));
    assert_eq!(parse_output("plots:/a:b"), Ok(output("plots", Some("/a:b"))));
    assert_eq!(parse_output("plots:out/"), Ok(output("plots", Some("/out"))));
    assert!(parse_output(":/out").is_err() && parse_output("plots:").is_err());
    let variable = |name: &str, value: Option<&str>| EnvArg { name: name.to_owned(), value: value.map(str::to_owned) };
    assert_eq!(parse_env("A=b=c"), Ok(variable("A", Some("b=c"))));
    assert_eq!(parse_env("A="), Ok(variable("A", Some(""))));
    assert_eq!(parse_env("A"), Ok(variable("A", None)));
    assert!(parse_env("=b").is_err());
}

#[test]
fn a_kubectl_plugin_shows_how_kubectl_calls_it() {
    let usage = |program: &str| command_for(Some(OsStr::new(program))).render_usage().to_string();
    assert_eq!(usage("/usr/bin/kubectl-wasmjob"), "Usage: kubectl wasmjob <COMMAND>");
    assert_eq!(usage("/usr/bin/wasmjob"), "Usage: wasmjob <COMMAND>");
}

#[test]
fn stores_are_reached_by_http_alone() {
    assert!(run(&["p.wasm", "--ipfs-gateway", "https://gateway.example", "--s3-endpoint", "http://127.0.0.1:9000"]).is_ok());
    for flag in ["--ipfs-gateway", "--ipfs-api", "--s3-endpoint"] {
        assert_eq!(run(&["p.wasm", flag, "/ip4/127.0.0.1"]).expect_err(flag).exit_code(), 2);
    }
}
