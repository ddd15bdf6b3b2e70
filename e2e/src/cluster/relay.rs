//! A relay between one program of ours and the API server: plain HTTP on loopback on the one side, the cluster's TLS on the other. Tokens
//! pass through as they are. A test sees every request, and may hold it on its way, keep its answer back, or send it twice: that is when
//! programs are killed, and how a dead one's writes arrive late. Kills nobody itself.

use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::sync::{Arc, Mutex, PoisonError};

use anyhow::Context as _;
use axum::Router;
use axum::body::{Body, Bytes, to_bytes};
use axum::extract::State;
use axum::response::{IntoResponse as _, Response};
use http::{HeaderMap, Method, Request, StatusCode, Uri, header};
use kube::Client;
use kube::config::AuthInfo;
use serde_json::Value;
use tokio::sync::{mpsc, oneshot};
use tokio::task::JoinHandle;

use super::{Cluster, client_of};

/// Larger requests than the API server takes need not be relayed.
const MOST_BYTES: usize = 4 << 20;

/// A running relay. Dropping it closes its port; what it has forwarded stays forwarded.
pub struct Relay {
    address: SocketAddr,
    shared: Arc<Shared>,
    serving: JoinHandle<()>,
}

/// A request as it came.
#[derive(Clone, Debug)]
pub struct Asked {
    method: Method,
    uri: Uri,
    headers: HeaderMap,
    body: Bytes,
}

/// What becomes of a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fate {
    /// Forwarded, and answered as the API server does.
    Pass,
    /// Held before the API server sees it.
    HoldBefore,
    /// Forwarded, and its answer held.
    HoldAfter,
    /// Forwarded twice; the second answer is the program's.
    Twice,
}

/// A request that is held. Dropped, it goes no further; the program that sent it waits for as long as it likes.
#[derive(Debug)]
pub struct Held {
    /// The request.
    pub asked: Asked,
    go: oneshot::Sender<oneshot::Sender<(u16, Value)>>,
}

type Chooses = Box<dyn FnMut(&Asked) -> Fate + Send>;

struct Shared {
    client: Client,
    rule: Mutex<Option<Rule>>,
}

struct Rule {
    chooses: Chooses,
    held: mpsc::UnboundedSender<Held>,
}

/// An answer that has come whole.
#[derive(Clone)]
struct Whole {
    status: StatusCode,
    headers: HeaderMap,
    body: Bytes,
}

impl Cluster {
    /// Starts a relay to the API server. It belongs to the runtime that it is made in.
    ///
    /// # Errors
    /// When no port is free.
    pub async fn relay(&self) -> anyhow::Result<Relay> {
        self.relay_on(TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).context("no free port")?).await
    }

    /// A relay on a listener that is there already, in another network namespace perhaps.
    ///
    /// # Errors
    /// When the listener is of no use.
    pub async fn relay_on(&self, listener: TcpListener) -> anyhow::Result<Relay> {
        let mut config = self.config_of(&self.kubeconfig()).await?;
        // Whoever asks says who they are.
        config.auth_info = AuthInfo::default();
        let shared = Arc::new(Shared { client: client_of(config)?, rule: Mutex::default() });
        let address = listener.local_addr().context("a listener has an address")?;
        listener.set_nonblocking(true).context("failed to set up a listener")?;
        let listener = tokio::net::TcpListener::from_std(listener).context("failed to set up a listener")?;
        let routes = Router::new().fallback(relayed).with_state(Arc::clone(&shared));
        // It ends with an error only when its port is gone, and then everybody who asks it says so.
        let serving = tokio::spawn(async move { drop(axum::serve(listener, routes).await) });
        Ok(Relay { address, shared, serving })
    }
}

// === impl Relay ===

impl Relay {
    /// `http://ADDRESS:PORT`, for a kubeconfig.
    pub fn server(&self) -> String {
        format!("http://{}", self.address)
    }

    /// From now on each request has the fate that `chooses` says; those that are held come out here. Earlier rules are over.
    pub fn rule(&self, chooses: impl FnMut(&Asked) -> Fate + Send + 'static) -> mpsc::UnboundedReceiver<Held> {
        let (held, incoming) = mpsc::unbounded_channel();
        *self.shared.rule.lock().unwrap_or_else(PoisonError::into_inner) = Some(Rule { chooses: Box::new(chooses), held });
        incoming
    }

    /// Sends the same bytes once more, whoever sent them first: code and object.
    pub async fn repeat(&self, asked: &Asked) -> (u16, Value) {
        summary(&self.shared.send_whole(asked).await)
    }
}

impl Drop for Relay {
    fn drop(&mut self) {
        self.serving.abort();
    }
}

// === impl Asked ===

impl Asked {
    /// Whether it changes anything.
    pub fn is_write(&self) -> bool {
        self.method != Method::GET
    }

    /// Method and resource, such as `PATCH wasmjobs/status`.
    pub fn what(&self) -> String {
        let parts: Vec<&str> = self.uri.path().trim_start_matches('/').split('/').skip_while(|part| *part != "namespaces").collect();
        let resource = match parts[..] {
            ["namespaces", _, resource, _, subresource] => format!("{resource}/{subresource}"),
            ["namespaces", _, resource, ..] => resource.to_owned(),
            _ => self.uri.path().to_owned(),
        };
        format!("{} {resource}", self.method)
    }

    /// Its body; `Null` where there is none.
    pub fn body(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or_default()
    }

    /// Whether it is a JSON patch with that operation on a path that begins so.
    pub fn patches(&self, operation: &str, path: &str) -> bool {
        let begins = |change: &Value| change["op"] == operation && change["path"].as_str().is_some_and(|at| at.starts_with(path));
        self.method == Method::PATCH && self.body().as_array().is_some_and(|changes| changes.iter().any(begins))
    }
}

// === impl Held ===

impl Held {
    /// Lets it go on, and says what the API server answered: code and object, `Null` where it is none. The program hears the same, if it
    /// still listens.
    pub async fn let_go(self) -> (u16, Value) {
        let (answer, answered) = oneshot::channel();
        // Where the relay is gone there is no answer either.
        let _ = self.go.send(answer);
        answered.await.unwrap_or((0, Value::Null))
    }
}

// === impl Shared ===

impl Shared {
    fn fate(&self, asked: &Asked) -> (Fate, Option<mpsc::UnboundedSender<Held>>) {
        let mut rule = self.rule.lock().unwrap_or_else(PoisonError::into_inner);
        rule.as_mut().map_or((Fate::Pass, None), |rule| ((rule.chooses)(asked), Some(rule.held.clone())))
    }

    /// Sends it as it came.
    async fn send(&self, asked: &Asked) -> kube::Result<http::Response<kube::client::Body>> {
        let mut request = Request::new(kube::client::Body::from(asked.body.to_vec()));
        *request.method_mut() = asked.method.clone();
        *request.uri_mut() = asked.uri.clone();
        *request.headers_mut() = asked.headers.clone();
        for of_connection in [header::HOST, header::CONNECTION, header::CONTENT_LENGTH, header::TRANSFER_ENCODING] {
            request.headers_mut().remove(of_connection);
        }
        self.client.send(request).await
    }

    async fn send_whole(&self, asked: &Asked) -> anyhow::Result<Whole> {
        let (parts, body) = self.send(asked).await?.into_parts();
        let body = body.collect_bytes().await?;
        Ok(Whole { status: parts.status, headers: parts.headers, body })
    }

    /// The answer to a request that is held on its way; `None`: it goes no further.
    async fn hold(&self, asked: Asked, fate: Fate, told: &mpsc::UnboundedSender<Held>) -> Option<anyhow::Result<Whole>> {
        let early = if fate == Fate::HoldAfter { Some(self.send_whole(&asked).await) } else { None };
        let (go, gone) = oneshot::channel();
        let _ = told.send(Held { asked: asked.clone(), go });
        let listener = gone.await.ok()?;
        let answer = match early {
            Some(answer) => answer,
            None => self.send_whole(&asked).await,
        };
        // Whoever let it go may not care.
        let _ = listener.send(summary(&answer));
        Some(answer)
    }
}

// === impl Whole ===

impl Whole {
    fn response(self) -> Response {
        let mut response = Response::new(Body::from(self.body));
        *response.status_mut() = self.status;
        *response.headers_mut() = self.headers;
        response.headers_mut().remove(header::TRANSFER_ENCODING);
        response
    }
}

/// Code and object; 0 where there was no answer.
fn summary(answer: &anyhow::Result<Whole>) -> (u16, Value) {
    let Ok(whole) = answer else { return (0, Value::Null) };
    (whole.status.as_u16(), serde_json::from_slice(&whole.body).unwrap_or_default())
}

async fn relayed(State(shared): State<Arc<Shared>>, request: Request<Body>) -> Response {
    let (parts, body) = request.into_parts();
    let Ok(body) = to_bytes(body, MOST_BYTES).await else { return StatusCode::PAYLOAD_TOO_LARGE.into_response() };
    let asked = Asked { method: parts.method, uri: parts.uri, headers: parts.headers, body };
    let (fate, told) = shared.fate(&asked);
    match (fate, told) {
        (Fate::HoldBefore | Fate::HoldAfter, Some(told)) => {
            // A task of its own: it goes on when whoever asked is dead.
            let held = tokio::spawn(async move { shared.hold(asked, fate, &told).await });
            match held.await {
                Ok(Some(answer)) => answer.map_or_else(bad_gateway, Whole::response),
                // Nobody is told anything any more.
                Ok(None) | Err(_) => std::future::pending().await,
            }
        }
        (Fate::Twice, _) => {
            let first = shared.send_whole(&asked).await;
            let second = shared.send_whole(&asked).await;
            first.and(second).map_or_else(bad_gateway, Whole::response)
        }
        _ => shared.send(&asked).await.map_or_else(|error| bad_gateway(error.into()), |answer| answer.map(Body::new)),
    }
}

fn bad_gateway(error: anyhow::Error) -> Response {
    (StatusCode::BAD_GATEWAY, format!("{error:#}")).into_response()
}
