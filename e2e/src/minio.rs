//! MinIO, an S3 server: one node, one folder, credentials of its own for every start.

use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::path::Path;
use std::process::Command;

use anyhow::{Context as _, bail};
use aws_sdk_s3::Client;
use aws_sdk_s3::config::{BehaviorVersion, Credentials, Region};
use aws_smithy_http_client::Builder;
use aws_smithy_types::byte_stream::ByteStream;
use tempfile::TempDir;

use crate::components::Component;
use crate::process::Process;

const COMPONENT: Component =
    Component { name: "minio", module: "github.com/minio/minio", go_mod: include_str!("../components/minio/go.mod") };

/// What MinIO calls its only region.
pub const REGION: &str = "us-east-1";

/// Free ports are found by trying, and another program may take one in between.
const STARTS: usize = 5;

/// A running MinIO.
pub struct Minio {
    process: Process,
    address: SocketAddr,
    keys: Keys,
    // Dropped after the process that writes to it.
    _folder: TempDir,
}

/// What signs a request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Keys {
    /// `AWS_ACCESS_KEY_ID`.
    pub access_key: String,
    /// `AWS_SECRET_ACCESS_KEY`.
    pub secret_key: String,
    /// `AWS_SESSION_TOKEN`, for keys of a session.
    pub session_token: Option<String>,
}

impl Minio {
    /// Starts a server and waits until it answers to its own credentials.
    pub async fn start() -> anyhow::Result<Self> {
        Self::start_at(0).await
    }

    /// As [`Minio::start`], at that port if it is free.
    pub async fn start_at(port: u16) -> anyhow::Result<Self> {
        let mut last = None;
        for wanted in std::iter::once(port).chain([0; STARTS]) {
            match Self::start_once(wanted).await {
                Ok(minio) => return Ok(minio),
                Err(error) => last = Some(error),
            }
        }
        Err(last.context("it was tried at least once")?)
    }

    async fn start_once(wanted: u16) -> anyhow::Result<Self> {
        let folder = tempfile::tempdir().context("failed to create a folder")?;
        let port = TcpListener::bind((Ipv4Addr::LOCALHOST, wanted)).and_then(|free| free.local_addr()).context("no free port")?.port();
        let address = SocketAddr::from((Ipv4Addr::LOCALHOST, port));
        let keys = Keys { access_key: random_word()?, secret_key: random_word()?, session_token: None };
        let mut command = Command::new(COMPONENT.program()?);
        command
            .args(["server", "--quiet", "--address", &address.to_string(), "--certs-dir"])
            .arg(folder.path().join("certs"))
            .arg(folder.path().join("objects"))
            .env_clear()
            .env("HOME", folder.path())
            .env("MINIO_ROOT_USER", &keys.access_key)
            .env("MINIO_ROOT_PASSWORD", &keys.secret_key)
            .env("MINIO_BROWSER", "off")
            .env("MINIO_UPDATE", "off");
        let mut process = Process::start("minio", command, &folder.path().join("log"))?;
        process.wait_for(|| TcpStream::connect(address).ok())?;
        let mut minio = Self { process, address, keys, _folder: folder };
        minio.answers_to_its_keys().await?;
        Ok(minio)
    }

    /// Ready means that S3 answers to the keys of this start: whoever took the port before us has others.
    async fn answers_to_its_keys(&mut self) -> anyhow::Result<()> {
        let client = self.client();
        loop {
            self.process.still_running()?;
            match client.list_buckets().send().await {
                Ok(_) => return Ok(()),
                Err(error) if error.raw_response().is_some_and(|response| response.status().as_u16() == 403) => {
                    bail!("another server answers at {}", self.address);
                }
                Err(_) => std::thread::sleep(std::time::Duration::from_millis(20)),
            }
        }
    }

    /// `http://127.0.0.1:PORT`.
    pub fn endpoint(&self) -> String {
        format!("http://{}", self.address)
    }

    /// Keys that may do everything.
    pub fn keys(&self) -> &Keys {
        &self.keys
    }

    /// Process id of the server.
    pub fn id(&self) -> u32 {
        self.process.id()
    }

    /// A client that may do everything.
    pub fn client(&self) -> Client {
        self.client_with(&self.keys)
    }

    /// A client with other keys.
    pub fn client_with(&self, keys: &Keys) -> Client {
        let config = aws_sdk_s3::Config::builder()
            .behavior_version(BehaviorVersion::latest())
            .http_client(Builder::new().build_http())
            .region(Region::from_static(REGION))
            .endpoint_url(self.endpoint())
            .credentials_provider(credentials(keys))
            .force_path_style(true)
            .build();
        Client::from_conf(config)
    }

    /// Keys of a session that may do what the policy (AWS JSON) says and nothing else.
    pub async fn session(&self, policy: &str) -> anyhow::Result<Keys> {
        let config = aws_sdk_sts::Config::builder()
            .behavior_version(aws_sdk_sts::config::BehaviorVersion::latest())
            .http_client(Builder::new().build_http())
            .region(aws_sdk_sts::config::Region::from_static(REGION))
            .endpoint_url(self.endpoint())
            .credentials_provider(credentials(&self.keys))
            .build();
        let request = aws_sdk_sts::Client::from_conf(config).assume_role();
        // MinIO has no roles; it ignores their names but the client insists on them.
        let request = request.role_arn("arn:aws:iam::000000000000:role/any").role_session_name("test").policy(policy);
        let session = request.send().await.context("failed to open a session")?;
        let granted = session.credentials.context("the session has no credentials")?;
        Ok(Keys { access_key: granted.access_key_id, secret_key: granted.secret_access_key, session_token: Some(granted.session_token) })
    }

    /// Keys that the server knows and that may do nothing but read `bucket`: any other request is `AccessDenied`.
    pub async fn reader_of(&self, bucket: &str) -> anyhow::Result<Keys> {
        let policy = format!(
            r#"{{"Version":"2012-10-17","Statement":[{{"Effect":"Allow","Action":["s3:GetObject","s3:ListBucket"],"Resource":["arn:aws:s3:::{bucket}","arn:aws:s3:::{bucket}/*"]}}]}}"#
        );
        self.session(&policy).await
    }

    /// Creates a bucket.
    pub async fn create_bucket(&self, bucket: &str) -> anyhow::Result<()> {
        self.client().create_bucket().bucket(bucket).send().await.with_context(|| format!("failed to create bucket {bucket:?}"))?;
        Ok(())
    }

    /// Stores an object.
    pub async fn put(&self, bucket: &str, key: &str, bytes: impl Into<Vec<u8>>) -> anyhow::Result<()> {
        self.put_stream(bucket, key, ByteStream::from(bytes.into())).await
    }

    /// Stores a file, without reading it into memory.
    pub async fn put_file(&self, bucket: &str, key: &str, file: &Path) -> anyhow::Result<()> {
        let stream = ByteStream::from_path(file).await.with_context(|| format!("failed to read {}", file.display()))?;
        self.put_stream(bucket, key, stream).await
    }

    async fn put_stream(&self, bucket: &str, key: &str, body: ByteStream) -> anyhow::Result<()> {
        let request = self.client().put_object().bucket(bucket).key(key).body(body);
        request.send().await.with_context(|| format!("failed to put {bucket}/{key}"))?;
        Ok(())
    }

    /// An object's bytes.
    pub async fn get(&self, bucket: &str, key: &str) -> anyhow::Result<Vec<u8>> {
        let object = self.client().get_object().bucket(bucket).key(key).send().await;
        let object = object.with_context(|| format!("failed to get {bucket}/{key}"))?;
        let bytes = object.body.collect().await.with_context(|| format!("failed to read {bucket}/{key}"))?;
        Ok(bytes.to_vec())
    }

    /// Keys of all objects, sorted.
    pub async fn list(&self, bucket: &str) -> anyhow::Result<Vec<String>> {
        let mut pages = self.client().list_objects_v2().bucket(bucket).into_paginator().send();
        let mut keys = Vec::new();
        while let Some(page) = pages.next().await {
            let page = page.with_context(|| format!("failed to list {bucket}"))?;
            keys.extend(page.contents.into_iter().flatten().filter_map(|object| object.key));
        }
        keys.sort();
        Ok(keys)
    }
}

fn credentials(keys: &Keys) -> Credentials {
    Credentials::new(&keys.access_key, &keys.secret_key, keys.session_token.clone(), None, "e2e")
}

/// 32 hexadecimal digits that nobody can guess.
fn random_word() -> anyhow::Result<String> {
    let mut bytes = [0; 16];
    rustix::rand::getrandom(&mut bytes, rustix::rand::GetRandomFlags::empty()).context("no random numbers")?;
    Ok(hex::encode(bytes))
}
