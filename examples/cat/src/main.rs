//! Copies the named files to stdout, and stdin where none is named. Of a directory it prints the sorted names.

use std::fs::File;
use std::io::{self, Write as _};
use std::path::Path;
use std::process::ExitCode;

fn main() -> ExitCode {
    let paths: Vec<_> = std::env::args_os().skip(1).collect();
    if paths.is_empty() {
        return report("stdin", io::copy(&mut io::stdin().lock(), &mut io::stdout().lock()).map(drop));
    }
    let mut code = ExitCode::SUCCESS;
    for path in &paths {
        let path = Path::new(path);
        let copied = if path.is_dir() { list(path) } else { copy(path) };
        if copied.is_err() {
            code = report(&path.to_string_lossy(), copied);
        }
    }
    code
}

fn copy(path: &Path) -> io::Result<()> {
    io::copy(&mut File::open(path)?, &mut io::stdout().lock()).map(drop)
}

fn list(path: &Path) -> io::Result<()> {
    let mut names = path.read_dir()?.map(|entry| Ok(entry?.file_name())).collect::<io::Result<Vec<_>>>()?;
    names.sort();
    let mut stdout = io::stdout().lock();
    names.iter().try_for_each(|name| writeln!(stdout, "{}", name.to_string_lossy()))
}

fn report(name: &str, copied: io::Result<()>) -> ExitCode {
    match copied {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("cat: {name}: {error}");
            ExitCode::FAILURE
        }
    }
}
