//! One repository of one registry: its URLs, its token, and what its answers mean.
//!
//! Every request goes through the connector of `http`, and so does every redirect and the token server. The token is for pulling from
//! this repository, whatever scope the registry asks for, and is sent to the registry alone.

use std::sync::{Mutex, PoisonError};

use crds::digest::Digest;
use crds::reason::Reason;
use oci_spec::distribution::Reference;
use reqwest::header::{ACCEPT, AUTHORIZATION, HeaderMap, HeaderValue, WWW_AUTHENTICATE};
use reqwest::{Response, StatusCode};
use serde::Deserialize;
use url::{Host, Url};

use super::challenge;
use crate::failure::Failure;
use crate::fetch::http::{Http, accept, next_hop};
use crate::fetch::retry::Setback;

/// Largest answer of a token server, in bytes.
const TOKEN_BYTES: usize = 256 << 10;

/// A repository, and the image in it that is wanted.
pub(super) struct Registry<'a> {
    http: &'a Http,
    image: String,
    reference: Reference,
    base: Url,
    /// What the token server gave, for the rest of this fetch.
    token: Mutex<Option<HeaderValue>>,
}

// === impl Registry ===

impl<'a> Registry<'a> {
    pub(super) fn new(http: &'a Http, image: &str) -> Result<Self, Failure> {
        let refused = |why: &str| {
            let shown: String = image.chars().take(80).collect();
            Failure::new(Reason::InvalidSpec, format!("oci.image: {shown:?}: {why}; write for example ghcr.io/team/prog:1.2"))
        };
        let reference: Reference = image.parse().map_err(|error| refused(&format!("{error}")))?;
        let base = base(&reference).map_err(|error| refused(&error.to_string()))?;
        Ok(Self { http, image: reference.whole(), reference, base, token: Mutex::default() })
    }

    /// What messages call the image.
    pub(super) fn image(&self) -> &str {
        &self.image
    }

    /// The tag or digest that is wanted.
    pub(super) fn wanted(&self) -> &str {
        self.reference.digest().or(self.reference.tag()).unwrap_or("latest")
    }

    /// The digest that is wanted, if one is.
    pub(super) fn digest(&self) -> Result<Option<Digest>, Failure> {
        let invalid = |error| Failure::new(Reason::InvalidSpec, format!("oci.image: {error}"));
        self.reference.digest().map(|digest| digest.parse().map_err(invalid)).transpose()
    }

    /// What lies at `path` in the repository, with a token if the registry asks for one.
    pub(super) async fn get(&self, path: &str, accepted: Option<&'static str>) -> Result<Response, Setback> {
        let url = self.base.join(path).map_err(|error| Setback::last(Reason::InvalidSpec, format!("{}: {error}", self.image)))?;
        let token = self.token.lock().unwrap_or_else(PoisonError::into_inner).clone();
        let response = self.ask(url.clone(), accepted, token).await?;
        if response.status() != StatusCode::UNAUTHORIZED || response.url().origin() != self.base.origin() {
            return self.accept(response);
        }
        let token = self.authorize(response.headers()).await?;
        *self.token.lock().unwrap_or_else(PoisonError::into_inner) = Some(token.clone());
        self.accept(self.ask(url, accepted, Some(token)).await?)
    }

    async fn ask(&self, url: Url, accepted: Option<&'static str>, token: Option<HeaderValue>) -> Result<Response, Setback> {
        let headers = |url: &Url| {
            let accepted = accepted.map(|accepted| (ACCEPT, HeaderValue::from_static(accepted)));
            // Layers often lie somewhere else, which the token is none of the business of.
            let token = token.clone().filter(|_| url.origin() == self.base.origin()).map(|token| (AUTHORIZATION, token));
            accepted.into_iter().chain(token).collect::<HeaderMap>()
        };
        self.http.follow(url, headers).await
    }

    /// A token for anybody, from the server that the registry names.
    async fn authorize(&self, headers: &HeaderMap) -> Result<HeaderValue, Setback> {
        let values = headers.get_all(WWW_AUTHENTICATE).into_iter().map(HeaderValue::as_bytes);
        let challenge = challenge::bearer(values)
            .ok_or_else(|| Setback::last(Reason::FetchDenied, format!("{}: the registry wants a user and password", self.image)))?;
        let what = format!("{}: the registry's token server", self.image);
        let named = |failure: Failure| Failure::new(failure.reason, format!("{what}: {}", failure.message));
        let mut url = next_hop(&self.base, Some(challenge.realm.as_bytes())).map_err(named)?;
        let scope = format!("repository:{}:pull", self.reference.repository());
        let service = challenge.service.as_deref().map(|service| ("service", service));
        url.query_pairs_mut().extend_pairs(service).append_pair("scope", &scope);
        let response = self.accept(self.http.follow(url, |_| HeaderMap::new()).await?)?;
        let answer = self.http.read(response, &what, TOKEN_BYTES).await?;
        token(&answer).ok_or_else(|| Setback::last(Reason::FetchFailed, format!("{what} gave no token")))
    }

    fn accept(&self, response: Response) -> Result<Response, Setback> {
        let status = response.status();
        let message = |advice: &str| format!("{}: the registry answered {status}; {advice}", self.image);
        match status {
            StatusCode::NOT_FOUND => Err(Setback::last(Reason::FetchNotFound, message("check the name and the tag or digest"))),
            StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN => {
                Err(Setback::last(Reason::FetchDenied, message("there is no such image, or it cannot be read without credentials")))
            }
            _ => accept(response),
        }
    }
}

/// `https`, but for a registry on this machine, which nobody else hears: those have no certificates.
fn base(reference: &Reference) -> Result<Url, url::ParseError> {
    let at = |scheme: &str| Url::parse(&format!("{scheme}://{}/v2/{}/", reference.resolve_registry(), reference.repository()));
    let url = at("https")?;
    let is_here = match url.host() {
        Some(Host::Domain(name)) => name == "localhost",
        Some(Host::Ipv4(address)) => address.is_loopback(),
        Some(Host::Ipv6(address)) => address.is_loopback(),
        None => false,
    };
    if is_here { at("http") } else { Ok(url) }
}

/// The header that the token server's answer makes.
fn token(answer: &[u8]) -> Option<HeaderValue> {
    #[derive(Deserialize)]
    struct Answer {
        token: Option<String>,
        access_token: Option<String>,
    }
    let answer: Answer = serde_json::from_slice(answer).ok()?;
    let token = answer.token.or(answer.access_token).filter(|token| !token.is_empty())?;
    let mut header = HeaderValue::from_str(&format!("Bearer {token}")).ok()?;
    header.set_sensitive(true);
    Some(header)
}

#[cfg(test)]
mod tests {
    use super::{base, token};

    #[test]
    fn an_image_is_asked_for_where_its_name_says() {
        for (image, expected) in [
            ("prog", "https://index.docker.io/v2/library/prog/"),
            ("team/prog:1", "https://index.docker.io/v2/team/prog/"),
            ("ghcr.io/team/prog:1.2", "https://ghcr.io/v2/team/prog/"),
            ("registry.example:5000/a/b/c", "https://registry.example:5000/v2/a/b/c/"),
            ("localhost:5000/prog", "http://localhost:5000/v2/prog/"),
            ("127.0.0.1:5000/prog", "http://127.0.0.1:5000/v2/prog/"),
            ("10.0.0.1:5000/prog", "https://10.0.0.1:5000/v2/prog/"),
            ("localhost.example/prog", "https://localhost.example/v2/prog/"),
        ] {
            let reference = image.parse().expect("a reference");
            assert_eq!(base(&reference).map(String::from).as_deref(), Ok(expected), "{image}");
        }
    }

    #[test]
    fn a_token_is_taken_from_either_field() {
        for (answer, expected) in [
            (r#"{"token": "a", "access_token": "b", "expires_in": 300}"#, Some("Bearer a")),
            (r#"{"access_token": "b"}"#, Some("Bearer b")),
            (r#"{"token": ""}"#, None),
            (r#"{"token": "a\r\nx: y"}"#, None),
            ("{}", None),
            ("token", None),
        ] {
            let header = token(answer.as_bytes());
            assert_eq!(header.as_ref().and_then(|header| header.to_str().ok()), expected, "{answer}");
            assert!(header.is_none_or(|header| header.is_sensitive()), "{answer}");
        }
    }
}
