//! What a registry asks for when it answers 401: the token server of a `Bearer` challenge. Gives no credentials.

use http_auth::ChallengeParser;

/// Where a token is had.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Challenge {
    pub(super) realm: String,
    pub(super) service: Option<String>,
}

/// The first `Bearer` challenge with a realm in the values of `WWW-Authenticate`. What cannot be read is passed over.
pub(super) fn bearer<'a>(values: impl Iterator<Item = &'a [u8]>) -> Option<Challenge> {
    values.filter_map(|value| std::str::from_utf8(value).ok()).find_map(|value| {
        ChallengeParser::new(value).filter_map(Result::ok).find_map(|challenge| {
            if !challenge.scheme.eq_ignore_ascii_case("bearer") {
                return None;
            }
            let find = |wanted: &str| {
                let found = challenge.params.iter().find(|(name, _)| name.eq_ignore_ascii_case(wanted));
                found.map(|(_, value)| value.to_unescaped())
            };
            Some(Challenge { realm: find("realm")?, service: find("service") })
        })
    })
}

#[cfg(test)]
mod tests {
    use super::{Challenge, bearer};

    #[test]
    fn the_token_server_is_found_among_the_challenges() {
        let found = |realm: &str, service: Option<&str>| Some(Challenge { realm: realm.to_owned(), service: service.map(str::to_owned) });
        let rows: [(&[&str], Option<Challenge>); 8] = [
            (
                &["Bearer realm=\"https://auth.docker.io/token\",service=\"registry.docker.io\",scope=\"repository:a/b:pull\""],
                found("https://auth.docker.io/token", Some("registry.docker.io")),
            ),
            (&["bearer Realm=\"https://h/t?x=1,2\""], found("https://h/t?x=1,2", None)),
            (&["Basic realm=\"r\"", "Bearer realm=\"https://h/t\""], found("https://h/t", None)),
            (&["Basic realm=\"r\", Bearer realm=\"https://h/t\", service=s"], found("https://h/t", Some("s"))),
            (&["Basic realm=\"r\""], None),
            (&["Bearer service=\"s\""], None),
            (&["", "Bearer", "=,\"", "Bearer realm="], None),
            (&[], None),
        ];
        for (values, expected) in rows {
            assert_eq!(bearer(values.iter().map(|value| value.as_bytes())), expected, "{values:?}");
        }
        assert_eq!(bearer([&b"Bearer realm=\"\xff\""[..]].into_iter()), None);
    }
}
