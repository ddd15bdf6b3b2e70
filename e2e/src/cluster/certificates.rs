//! What the programs of a control plane prove themselves with: a certificate authority for one cluster and the pairs that it
//! signed. Nothing is kept outside the cluster's folder, and nobody else trusts it.

use std::net::{IpAddr, Ipv4Addr};

use anyhow::Context as _;
use rcgen::{
    BasicConstraints, Certificate, CertificateParams, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair, KeyUsagePurpose, SanType,
};

/// Signs for one cluster.
pub(super) struct Authority {
    certificate: Certificate,
    issuer: Issuer<'static, KeyPair>,
}

/// A certificate and its key, as PEM.
pub(super) struct Pair {
    pub(super) certificate: String,
    pub(super) key: String,
}

impl Authority {
    pub(super) fn new() -> anyhow::Result<Self> {
        let mut params = named("wasmjob-e2e", None);
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::DigitalSignature];
        let key = new_key()?;
        let certificate = params.self_signed(&key).context("failed to sign the authority")?;
        Ok(Self { certificate, issuer: Issuer::new(params, key) })
    }

    /// PEM.
    pub(super) fn certificate(&self) -> String {
        self.certificate.pem()
    }

    /// For the API server, as reached over loopback and, by its own name, from pods.
    pub(super) fn server(&self) -> anyhow::Result<Pair> {
        let mut params = named("kube-apiserver", None);
        params.subject_alt_names = vec![SanType::IpAddress(IpAddr::V4(Ipv4Addr::LOCALHOST))];
        for name in ["localhost", "kubernetes", "kubernetes.default", "kubernetes.default.svc"] {
            params.subject_alt_names.push(SanType::DnsName(name.try_into().context("failed to name the server")?));
        }
        self.signed(params, ExtendedKeyUsagePurpose::ServerAuth)
    }

    /// For a client: the API server takes the common name for the user, the organisation for its group.
    pub(super) fn client(&self, user: &str, group: Option<&str>) -> anyhow::Result<Pair> {
        self.signed(named(user, group), ExtendedKeyUsagePurpose::ClientAuth)
    }

    fn signed(&self, mut params: CertificateParams, usage: ExtendedKeyUsagePurpose) -> anyhow::Result<Pair> {
        params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        params.extended_key_usages = vec![usage];
        let key = new_key()?;
        let certificate = params.signed_by(&key, &self.issuer).context("failed to sign a certificate")?;
        Ok(Pair { certificate: certificate.pem(), key: key.serialize_pem() })
    }
}

/// Signs service account tokens, and tells which are its own.
pub(super) struct SigningKey {
    /// PEM.
    pub(super) private: String,
    /// PEM.
    pub(super) public: String,
}

impl SigningKey {
    pub(super) fn new() -> anyhow::Result<Self> {
        let key = new_key()?;
        Ok(Self { private: key.serialize_pem(), public: key.public_key_pem() })
    }
}

fn new_key() -> anyhow::Result<KeyPair> {
    KeyPair::generate().context("failed to make a key")
}

fn named(common_name: &str, organisation: Option<&str>) -> CertificateParams {
    let mut params = CertificateParams::default();
    params.distinguished_name = rcgen::DistinguishedName::new();
    params.distinguished_name.push(DnType::CommonName, common_name);
    if let Some(organisation) = organisation {
        params.distinguished_name.push(DnType::OrganizationName, organisation);
    }
    params
}
