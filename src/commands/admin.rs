//! What a running balancer tells on its admin port.

use std::time::Duration;

use reqwest::{Client, StatusCode};
use serde::de::DeserializeOwned;
use url::Url;

/// From the first packet to the end of the answer.
const PATIENCE: Duration = Duration::from_secs(5);

/// A longer answer is not read: a balancer with all the streams it may have tells less.
const MOST_BYTES: usize = 64 * 1024 * 1024;

/// A running balancer's admin port.
pub(super) struct AdminPort {
    client: Client,
    base: Url,
}

/// What it answered.
pub(super) struct Answer {
    /// Whether it knew the answer.
    pub(super) is_good: bool,
    /// What it said.
    pub(super) text: String,
}

impl AdminPort {
    /// The one at `admin`, such as `http://127.0.0.1:9090`.
    pub(super) fn at(admin: &str) -> Result<Self, String> {
        let wanted = || format!("--admin: {admin:?} is no URL such as http://127.0.0.1:9090");
        let base = Url::parse(admin).map_err(|_malformed| wanted())?;
        if !matches!(base.scheme(), "http" | "https") || base.host().is_none() {
            return Err(wanted());
        }
        // An error means that one is installed already, which serves as well.
        drop(rustls::crypto::ring::default_provider().install_default());
        let mut builder = Client::builder().http1_only().no_proxy().timeout(PATIENCE);
        if base.scheme() == "http" {
            // No certificates are needed, of which an image may have none.
            builder = builder.tls_certs_only([]);
        }
        let client = builder.build().map_err(|error| format!("no HTTP client: {error}"))?;
        Ok(Self { client, base })
    }

    /// Asks for `path` with these parameters.
    pub(super) async fn ask(
        &self,
        path: &str,
        parameters: &[(&str, &str)],
    ) -> Result<Answer, String> {
        let mut url = self.base.clone();
        url.set_path(&format!("{}{path}", self.base.path().trim_end_matches('/')));
        url.set_query(None);
        if !parameters.is_empty() {
            url.query_pairs_mut().extend_pairs(parameters);
        }
        let sent = self.client.get(url).send().await;
        let mut answer = sent.map_err(|error| self.silent(&error))?;
        let status = answer.status();
        let mut body = Vec::new();
        while let Some(chunk) = answer.chunk().await.map_err(|error| self.silent(&error))? {
            if body.len() + chunk.len() > MOST_BYTES {
                return Err(format!("{} answers more than a balancer would", self.name()));
            }
            body.extend_from_slice(&chunk);
        }
        Ok(Answer {
            is_good: status == StatusCode::OK,
            text: String::from_utf8_lossy(&body).into_owned(),
        })
    }

    /// Asks for `path` with these parameters and reads the JSON that it is answered with.
    pub(super) async fn read<T: DeserializeOwned>(
        &self,
        path: &str,
        parameters: &[(&str, &str)],
    ) -> Result<T, String> {
        let answer = self.ask(path, parameters).await?;
        if !answer.is_good {
            return Err(first_line(&answer.text));
        }
        serde_json::from_str(&answer.text).map_err(|error| {
            format!("{} does not answer as this version of a balancer would: {error}", self.name())
        })
    }

    fn silent(&self, error: &reqwest::Error) -> String {
        let mut cause: &dyn std::error::Error = error;
        while let Some(source) = cause.source() {
            cause = source;
        }
        let why = if error.is_timeout() {
            format!("no whole answer within {PATIENCE:?}")
        } else {
            cause.to_string()
        };
        format!(
            "the balancer does not answer on {}: {why}; does it run, and is this its admin port \
             (--admin)?",
            self.name()
        )
    }

    /// What it is called: a URL may have a password.
    fn name(&self) -> String {
        let host = self.base.host_str().unwrap_or_default();
        let port = self.base.port_or_known_default().unwrap_or_default();
        format!("{}://{host}:{port}", self.base.scheme())
    }
}

/// Of a page that is no answer of ours, the beginning is enough.
fn first_line(text: &str) -> String {
    const MOST: usize = 400;
    let line = text.lines().find(|line| !line.trim().is_empty()).unwrap_or("no answer");
    line.chars().filter(|c| !c.is_control()).take(MOST).collect()
}
