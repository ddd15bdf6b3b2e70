//! A local HTTP/1.1 server whose answers a test chooses, byte for byte where need be: files with ranges and ETags, redirects,
//! failures that heal, and what no HTTP library would send (bodies that never end, lengths that lie, silence). Runs on threads of
//! its own, so that a test may block. `answer.rs` says what can be answered, `connection.rs` puts it on the wire.

mod answer;
mod connection;

use std::collections::HashMap;
use std::io;
use std::net::{Ipv4Addr, Shutdown, SocketAddr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;

pub use answer::Answer;

/// A running server. Dropping it closes every connection.
pub struct Server {
    address: SocketAddr,
    state: Arc<Mutex<State>>,
    listening: Option<JoinHandle<()>>,
}

/// A request as it came.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Request {
    /// Such as `GET`.
    pub method: String,
    /// Path and query, as sent.
    pub target: String,
    /// Names in lower case.
    pub headers: Vec<(String, String)>,
    /// What a `Content-Length` announced.
    pub body: Vec<u8>,
}

impl Request {
    /// The value of a header, by its lower-case name.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(key, _)| key == name).map(|(_, value)| value.as_str())
    }

    /// The target without its query.
    pub fn path(&self) -> &str {
        self.target.split('?').next().unwrap_or_default()
    }
}

#[derive(Default)]
struct State {
    answers: HashMap<String, Vec<Answer>>,
    folders: Vec<(String, PathBuf)>,
    requests: Vec<Request>,
    open: Vec<TcpStream>,
    stopping: bool,
}

impl Server {
    /// Starts on a free loopback port. Until told otherwise every path is 404.
    pub fn start() -> io::Result<Self> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
        let address = listener.local_addr()?;
        let state = Arc::new(Mutex::new(State::default()));
        let shared = Arc::clone(&state);
        let listening = std::thread::spawn(move || listen(&listener, &shared));
        Ok(Self { address, state, listening: Some(listening) })
    }

    /// `http://127.0.0.1:PORT` and the path, which begins with `/`.
    pub fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.address)
    }

    /// Answers a path (without query) so from now on, and gives its URL.
    pub fn answer(&self, path: &str, answer: Answer) -> String {
        self.answers(path, vec![answer])
    }

    /// Answers a path with one after the other; the last one stays.
    pub fn answers(&self, path: &str, answers: Vec<Answer>) -> String {
        assert!(!answers.is_empty(), "a path needs an answer");
        lock(&self.state).answers.insert(path.to_owned(), answers);
        self.url(path)
    }

    /// Serves the files of a folder below a path that ends with `/`.
    pub fn folder(&self, path: &str, folder: &Path) -> String {
        lock(&self.state).folders.push((path.to_owned(), folder.to_owned()));
        self.url(path)
    }

    /// Every request so far, in order of arrival.
    pub fn requests(&self) -> Vec<Request> {
        lock(&self.state).requests.clone()
    }

    /// How often a path (without query) was asked for.
    pub fn count(&self, path: &str) -> usize {
        lock(&self.state).requests.iter().filter(|request| request.path() == path).count()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        {
            let mut state = lock(&self.state);
            state.stopping = true;
            for connection in state.open.drain(..) {
                // It may be closed already.
                let _ = connection.shutdown(Shutdown::Both);
            }
        }
        // Wakes the listener, which then sees that it shall stop.
        let _ = TcpStream::connect(self.address);
        if let Some(listening) = self.listening.take() {
            let _ = listening.join();
        }
    }
}

/// A test that panicked while it held the lock must not hide its message behind ours.
fn lock(state: &Mutex<State>) -> MutexGuard<'_, State> {
    state.lock().unwrap_or_else(PoisonError::into_inner)
}

fn listen(listener: &TcpListener, state: &Arc<Mutex<State>>) {
    for connection in listener.incoming().flatten() {
        let mut locked = lock(state);
        if locked.stopping {
            return;
        }
        let Ok(handle) = connection.try_clone() else { continue };
        locked.open.push(handle);
        drop(locked);
        let state = Arc::clone(state);
        std::thread::spawn(move || {
            // The other side may leave whenever it likes; that is what many tests are about.
            let _ = connection::serve(&connection, |request| next_answer(&mut lock(&state), request));
            let _ = connection.shutdown(Shutdown::Both);
        });
    }
}

/// Notes the request and chooses the answer.
fn next_answer(state: &mut State, request: Request) -> Answer {
    let answer = match state.answers.get_mut(request.path()) {
        Some(answers) if answers.len() > 1 => answers.remove(0),
        Some(answers) => answers[0].clone(),
        None => file_below(&state.folders, request.path()).map_or_else(|| Answer::status(404), Answer::file),
    };
    state.requests.push(request);
    answer
}

fn file_below(folders: &[(String, PathBuf)], path: &str) -> Option<PathBuf> {
    let found = folders.iter().find_map(|(prefix, folder)| Some((folder, path.strip_prefix(prefix.as_str())?)));
    let (folder, rest) = found.filter(|(_, rest)| !rest.split('/').any(|part| part == ".."))?;
    Some(folder.join(rest)).filter(|file| file.is_file())
}
