//! The command line: flags, their help texts, and the parsers of their values.
//!
//! Reads no file and no environment.

use std::ffi::OsStr;
use std::path::{Path, PathBuf};

use clap::error::{ContextKind, ContextValue, ErrorKind};
use clap::{Args, CommandFactory, FromArgMatches, Parser, Subcommand};
use runner::walls::Wall;
use url::Url;

use crate::source_arg::{InputArg, Target, parse_input, parse_target};

#[cfg(test)]
mod tests;

/// What `wasmjob version` prints.
pub(crate) const VERSION: &str = env!("CARGO_PKG_VERSION");

/// Run WebAssembly jobs: on this machine, the way a cluster would.
#[derive(Debug, Parser)]
#[command(name = "wasmjob", version = VERSION, about, max_term_width = 100, after_help = EXAMPLES)]
struct CommandLine {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Run a job from a YAML document, or a module with flags, on this machine
    #[command(after_help = RUN_EXAMPLES)]
    Run(Box<RunArgs>),
    /// Say offline what the API server would say of WasmJob documents
    #[command(after_help = VALIDATE_EXAMPLES)]
    Validate(ValidateArgs),
    /// Print the version
    Version,
    /// Print a completion script for a shell
    #[command(after_help = "Example:\n  wasmjob completion bash > /etc/bash_completion.d/wasmjob")]
    Completion {
        /// The shell
        shell: clap_complete::Shell,
    },
}

#[derive(Clone, Debug, Args)]
pub(crate) struct ValidateArgs {
    /// YAML or JSON files; `-` is standard input
    #[arg(required = true, value_name = "FILE")]
    pub(crate) files: Vec<PathBuf>,
}

#[derive(Clone, Debug, Args)]
pub(crate) struct RunArgs {
    /// A job document (FILE.yaml, FILE.yml, FILE.json, or - for standard input), or a module: a file, an http(s):// or s3:// URL,
    /// ipfs://CID[/PATH], a CID, or oci://IMAGE
    #[arg(value_name = "JOB.yaml|MODULE", value_parser = parse_target)]
    pub(crate) target: Target,

    /// The program's arguments. After a job document they replace the document's
    #[arg(value_name = "ARGS", allow_negative_numbers = true)]
    pub(crate) args: Vec<String>,

    /// Give the program files to read: a file or directory, a URL, s3://BUCKET/KEY, s3://BUCKET/PREFIX/, ipfs://CID[/PATH], a CID or oci://IMAGE,
    /// seen in directory PATH (default /inputs for the first, /inputs/NAME for others)
    /// (-v CID:PATH and -u URL are older spellings of the same)
    #[arg(
        short,
        long = "input",
        visible_short_aliases = ['v', 'u'],
        value_name = "SRC[:PATH]",
        value_parser = parse_input,
        help_heading = "Data"
    )]
    pub(crate) inputs: Vec<InputArg>,

    /// Keep what the program writes to directory PATH, as output NAME (one named outputs at /outputs is always there)
    #[arg(short, long = "output", value_name = "NAME[:PATH]", value_parser = parse_output, help_heading = "Data")]
    pub(crate) outputs: Vec<OutputArg>,

    /// Where the outputs land [default: ./NAME-outputs]
    #[arg(long, value_name = "DIR", help_heading = "Data")]
    pub(crate) output_dir: Option<PathBuf>,

    /// Write into an output folder that holds other files too; files of the same name are replaced, others stay
    #[arg(long, help_heading = "Data")]
    pub(crate) overwrite: bool,

    /// Set a variable of the program; KEY alone takes the value from this environment
    #[arg(short, long = "env", value_name = "KEY[=VALUE]", value_parser = parse_env, help_heading = "Program")]
    pub(crate) env: Vec<EnvArg>,

    /// Call this exported function instead of _start
    #[arg(long, value_name = "NAME", help_heading = "Program")]
    pub(crate) entrypoint: Option<String>,

    /// What the program reads on stdin: a file, or - for this command's stdin [default: this command's stdin when it is a pipe or a file]
    #[arg(long, value_name = "FILE|-", help_heading = "Program")]
    pub(crate) stdin: Option<PathBuf>,

    /// Name of the job [default: from the module's]
    #[arg(long, value_name = "NAME", help_heading = "Program")]
    pub(crate) name: Option<String>,

    /// Longest time the program may run: 300, 30s, 5m, 1h30m
    #[arg(long, value_name = "TIME", value_parser = parse_timeout, help_heading = "Limits")]
    pub(crate) timeout: Option<i64>,

    /// Most memory the program may use: 64Mi, 1Gi
    #[arg(long, value_name = "QUANTITY", value_parser = parse_memory, help_heading = "Limits")]
    pub(crate) memory: Option<String>,

    /// Most instructions the program may execute
    #[arg(long, value_name = "N", help_heading = "Limits")]
    pub(crate) fuel: Option<i64>,

    /// Run also where the kernel lacks this wall around the program: landlock or seccomp (may be repeated)
    #[arg(long = "may-lack-wall", value_name = "WALL", help_heading = "Limits")]
    pub(crate) may_lack: Vec<Wall>,

    /// Write the status that a cluster would have written: YAML, JSON where FILE ends in .json, - for stdout
    #[arg(long, value_name = "FILE", help_heading = "Reporting")]
    pub(crate) status_file: Option<PathBuf>,

    /// Print the YAML that a cluster would take, and run nothing
    #[arg(long, visible_alias = "print-yaml", help_heading = "Reporting")]
    pub(crate) dry_run: bool,

    /// Show no progress and no summary
    #[arg(short, long, help_heading = "Reporting")]
    pub(crate) quiet: bool,

    /// Trustless gateway to fetch CIDs from, before others given; every block is verified [default: IPFS_GATEWAY, then ~/.ipfs/gateway,
    /// then public ones]
    #[arg(long = "ipfs-gateway", value_name = "URL", value_parser = parse_http_url, help_heading = "Stores")]
    pub(crate) ipfs_gateways: Vec<Url>,

    /// RPC address of an IPFS node to ask first, such as http://127.0.0.1:5001
    #[arg(long, value_name = "URL", value_parser = parse_http_url, help_heading = "Stores")]
    pub(crate) ipfs_api: Option<Url>,

    /// S3 store that is not AWS [default: AWS_ENDPOINT_URL_S3, AWS_ENDPOINT_URL, the profile]
    #[arg(long, value_name = "URL", value_parser = parse_http_url, help_heading = "Stores")]
    pub(crate) s3_endpoint: Option<Url>,

    /// Region of the bucket [default: AWS_REGION, the profile]
    #[arg(long, value_name = "REGION", help_heading = "Stores")]
    pub(crate) s3_region: Option<String>,

    /// Profile of the AWS configuration files [default: AWS_PROFILE, then default]
    #[arg(long, value_name = "NAME", help_heading = "Stores")]
    pub(crate) profile: Option<String>,

    /// Where fetched files and compiled modules are kept [default: WASMJOB_CACHE_DIR, then the user's cache directory]
    #[arg(long, value_name = "DIR", help_heading = "Stores")]
    pub(crate) cache_dir: Option<PathBuf>,
}

/// `NAME[:PATH]` of an output.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct OutputArg {
    pub(crate) name: String,
    pub(crate) mount_path: Option<String>,
}

/// `KEY[=VALUE]` of a variable.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct EnvArg {
    pub(crate) name: String,
    /// Absent: taken from the environment of this command, if set there.
    pub(crate) value: Option<String>,
}

const EXAMPLES: &str = "\
Examples:
  wasmjob run job.yaml
  wasmjob run hello.wasm -- --greeting Hi
  wasmjob validate job.yaml";

const RUN_EXAMPLES: &str = "\
Examples:
  wasmjob run job.yaml --status-file status.yaml
  wasmjob run echo.wasm hello world
  echo 10 | wasmjob run fibonacci.wasm
  wasmjob run seam-carve.wasm -i pictures/ -o outputs:/outputs --timeout 5m
  wasmjob run https://example.com/prog.wasm -i s3://bucket/data/:/inputs -e HELLO=world
  wasmjob run QmajB9T3JBdMSp7xh2JruNrqg3hniCnM6EUVsBocARPJRQ
  wasmjob run prog.wasm -- --a-flag-of-the-program

Flags may stand before and after the module; -- ends them. The exit code is the program's; 134 means a trap, 124 the timeout,
137 the memory limit, and 125 that the job could not be run or its outputs not be kept.";

const VALIDATE_EXAMPLES: &str = "\
Examples:
  wasmjob validate job.yaml manifests/*.yaml
  helm template chart | wasmjob validate -

Exit code 0: every WasmJob would be accepted; 1: at least one would be refused, or a file could not be read.";

/// The command that this process was asked for. Ends the process on `--help` and on flags that make no sense (exit code 2).
pub(crate) fn parse() -> Command {
    let arguments: Vec<_> = std::env::args_os().collect();
    let command = command_for(arguments.first().map(AsRef::as_ref));
    command
        .try_get_matches_from(arguments)
        .and_then(|matches| CommandLine::from_arg_matches(&matches))
        .map_err(with_hint)
        .unwrap_or_else(|error| error.exit())
        .command
}

/// The script that completes `wasmjob` in `shell`.
pub(crate) fn completion(shell: clap_complete::Shell) -> Vec<u8> {
    let mut script = Vec::new();
    clap_complete::generate(shell, &mut CommandLine::command(), "wasmjob", &mut script);
    script
}

/// As a kubectl plugin the command is called `kubectl wasmjob`, and its help says so.
fn command_for(program: Option<&OsStr>) -> clap::Command {
    let command = CommandLine::command();
    let name = program.map(Path::new).and_then(Path::file_stem);
    if name == Some(OsStr::new("kubectl-wasmjob")) { command.bin_name("kubectl wasmjob") } else { command }
}

/// Unknown flags are most often the program's own.
fn with_hint(mut error: clap::Error) -> clap::Error {
    if error.kind() == ErrorKind::UnknownArgument && error.get(ContextKind::Usage).is_some() {
        let hint = "flags of the program itself go after `--`: wasmjob run MODULE -- --its-flag".into();
        error.insert(ContextKind::Suggested, ContextValue::StyledStrs(vec![hint]));
    }
    error
}

fn parse_output(text: &str) -> Result<OutputArg, String> {
    let (name, path) = match text.split_once(':') {
        Some((name, path)) => (name, Some(path)),
        None => (text, None),
    };
    if name.is_empty() || path == Some("") {
        return Err("write NAME or NAME:PATH, such as results:/results".to_owned());
    }
    Ok(OutputArg { name: name.to_owned(), mount_path: path.map(crate::source_arg::absolute) })
}

fn parse_env(text: &str) -> Result<EnvArg, String> {
    let (name, value) = match text.split_once('=') {
        Some((name, value)) => (name, Some(value.to_owned())),
        None => (text, None),
    };
    if name.is_empty() {
        return Err("write KEY=VALUE, or KEY to take its value from this environment".to_owned());
    }
    Ok(EnvArg { name: name.to_owned(), value })
}

/// Whole seconds: a bare number, or numbers with units.
fn parse_timeout(text: &str) -> Result<i64, String> {
    const REMEDY: &str = "write seconds, or a time such as 30s, 5m or 1h30m";
    let seconds = if let Ok(seconds) = text.parse::<i64>() {
        seconds
    } else {
        let duration: jiff::SignedDuration = text.parse().map_err(|_| REMEDY.to_owned())?;
        if duration.subsec_nanos() != 0 {
            return Err(format!("whole seconds only: {REMEDY}"));
        }
        duration.as_secs()
    };
    if seconds < 1 { Err(format!("at least one second: {REMEDY}")) } else { Ok(seconds) }
}

/// A Kubernetes quantity, whose `m` is a thousandth: other tools read it as megabytes, so it is refused here with the remedy.
fn parse_memory(text: &str) -> Result<String, String> {
    match text.strip_suffix('m') {
        Some(number) => Err(format!("{text} is a thousandth of {number} bytes, as Kubernetes writes quantities: write {number}Mi")),
        None => Ok(text.to_owned()),
    }
}

fn parse_http_url(text: &str) -> Result<Url, String> {
    match Url::parse(text) {
        Ok(url) if matches!(url.scheme(), "http" | "https") && url.has_host() => Ok(url),
        Ok(_) => Err("only http:// and https:// URLs".to_owned()),
        Err(error) => Err(error.to_string()),
    }
}
