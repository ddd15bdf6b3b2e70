//! What a run does with its credentials → the policy of a session that may do this and no more.

use crds::secret::{Reach, S3Use};
use serde_json::{Value, json};

/// Whose session it is. Its objects lie below a prefix that this attempt alone uses.
#[derive(Clone, Copy, Debug)]
pub struct Attempt<'a> {
    pub namespace: &'a str,
    pub job: &'a str,
    pub run: i64,
    pub index: i64,
    pub number: i32,
}

/// As AWS writes policies. A `*` in a key stays one: it widens the session within what its author may do anyway.
pub fn policy<'a>(uses: impl Iterator<Item = &'a S3Use>, attempt: &Attempt<'_>) -> String {
    let statements: Vec<Value> = uses.flat_map(|used| statements(used, attempt)).collect();
    json!({ "Version": "2012-10-17", "Statement": statements }).to_string()
}

fn statements(used: &S3Use, attempt: &Attempt<'_>) -> Vec<Value> {
    let bucket = format!("arn:aws:s3:::{}", used.bucket);
    let allow = |actions: &[&str], resource: &str| json!({ "Effect": "Allow", "Action": actions, "Resource": [resource] });
    match &used.reach {
        Reach::Object(key) => vec![allow(&["s3:GetObject", "s3:GetObjectVersion"], &format!("{bucket}/{key}"))],
        Reach::Prefix(prefix) => {
            let mut list = allow(&["s3:ListBucket"], &bucket);
            list["Condition"] = json!({ "StringLike": { "s3:prefix": [prefix, format!("{prefix}*")] } });
            vec![list, allow(&["s3:GetObject"], &format!("{bucket}/{prefix}*"))]
        }
        Reach::Publish { prefix, is_flat } => {
            let prefix = attempt.prefix(prefix, *is_flat);
            // Read: whether a manifest that is there is this attempt's own.
            let actions = ["s3:PutObject", "s3:GetObject", "s3:AbortMultipartUpload", "s3:ListMultipartUploadParts"];
            vec![allow(&actions, &format!("{bucket}/{prefix}*"))]
        }
    }
}

// === impl Attempt ===

impl Attempt<'_> {
    /// What the keys of the attempt's objects begin with; the fence, which follows, is drawn later.
    fn prefix(&self, written: &str, is_flat: bool) -> String {
        let numbers = [("{run}", self.run), ("{index}", self.index), ("{attempt}", i64::from(self.number))];
        let filled = written.replace("{namespace}", self.namespace).replace("{job}", self.job);
        let filled = numbers.iter().fold(filled, |filled, (name, number)| filled.replace(name, &number.to_string()));
        if is_flat { filled } else { format!("{filled}{}-{}-{}-", self.run, self.index, self.number) }
    }
}

#[cfg(test)]
mod tests;
