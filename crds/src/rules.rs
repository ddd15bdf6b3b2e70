//! The CEL rules of the spec's fields, each with a message that says what to write instead.
//!
//! A rule sits here when a field needs more than a bound, or when the schema's own message ("should match '^…$'") would leave its reader
//! alone with a regular expression. Rules over several fields stand at their struct. What only the bytes can tell (does the CID decode,
//! is there a module behind the URL) is the runner's to say.

use kube::core::Rule;

fn rule(expression: impl Into<String>, message: &str) -> Rule {
    Rule::new(expression).message(message)
}

/// At least one character and no NUL, in a name that WebAssembly or WASI carries.
pub(crate) fn guest_name() -> Rule {
    rule(r"size(self) > 0 && !self.contains('\u0000')", "must hold at least one character and no NUL")
}

/// Text that WASI carries NUL-terminated.
pub(crate) fn no_nul() -> Rule {
    rule(r"!self.contains('\u0000')", "must not contain NUL: the guest reads it as a NUL-terminated string; pass binary data as an input")
}

/// Like [`no_nul`], for each item of a list of strings.
pub(crate) fn no_nul_in_items() -> Rule {
    rule(
        r"self.all(item, !item.contains('\u0000'))",
        "must not contain NUL: the guest reads arguments as NUL-terminated strings; pass binary data as an input",
    )
}

/// The arguments together. Counted in bytes, as the guest gets them.
pub(crate) fn args_total() -> Rule {
    rule(
        "self.map(item, size(bytes(item))).sum() <= 131072",
        "must not exceed 131072 bytes (128 KiB) together: pass large data as an input",
    )
}

/// Name of an environment variable.
pub(crate) fn env_name() -> Rule {
    rule(
        r"size(self) > 0 && !self.contains('=') && !self.contains('\u0000')",
        "must hold at least one character, and neither = nor NUL: write the value under value",
    )
}

/// What is put before the names of variables.
pub(crate) fn env_prefix() -> Rule {
    rule(r"!self.contains('=') && !self.contains('\u0000')", "must hold neither = nor NUL")
}

/// A cancelled job stays cancelled: its end may have been written already.
pub(crate) fn cancel_stays() -> Rule {
    rule(
        "!has(oldSelf.cancel) || !oldSelf.cancel || (has(self.cancel) && self.cancel)",
        "cancel can only become true: create another job to run it again",
    )
    .field_path(".cancel")
}

/// Name of an input or output: part of paths, prefixes and file names.
pub(crate) fn dns_label() -> Rule {
    rule(
        "self.matches('^[a-z0-9]([-a-z0-9]*[a-z0-9])?$')",
        "must be lower-case letters, digits and -, with a letter or digit at both ends (a DNS-1123 label), such as images-2",
    )
}

/// Where the guest sees a directory. One spelling per path, so that comparing texts compares paths.
pub(crate) fn mount_path() -> Rule {
    rule(
        r"size(self) > 0 && self != '/' && !self.endsWith('/') && !self.contains('//') && !self.contains('\u0000') && !('/' + self + '/').contains('/../') && !('/' + self + '/').contains('/./')",
        "must be a path below the root, such as /data or data: no . or .. segment, no //, no / at the end, no NUL",
    )
}

/// A path inside an input.
pub(crate) fn relative_path() -> Rule {
    rule(
        r"size(self) > 0 && !self.startsWith('/') && !self.endsWith('/') && !self.contains('//') && !self.contains('\u0000') && !('/' + self + '/').contains('/../') && !('/' + self + '/').contains('/./') && !self.matches('(?i)%2[ef]')",
        "must be a relative path, such as data/points.csv: no . or .. segment (percent-encoded neither), no //, no / at either end, no NUL",
    )
}

/// `http` or `https`, a host, no credentials.
pub(crate) fn url() -> Rule {
    rule(
        r"self.matches('^(?i:https?)://[^\\x00-\\x20\\x7f/?#@\\\\]+([/?#][^\\x00-\\x20\\x7f]*)?$')",
        "must be an http:// or https:// URL with a host and without user name, password or spaces, such as https://example.com/prog.wasm",
    )
}

/// The base URL of an object store.
pub(crate) fn endpoint() -> Rule {
    rule(
        r"self.matches('^(?i:https?)://[^\\x00-\\x20\\x7f/?#@\\\\]+(/[^\\x00-\\x20\\x7f?#]*)?$')",
        "must be the store's http:// or https:// URL without user name, password or query, such as https://minio.example.com:9000",
    )
}

/// Amazon's rules for general purpose buckets; the bucket alone, no ARN.
pub(crate) fn bucket() -> Rule {
    rule(
        "self.matches('^[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]$') && !self.contains('..')",
        "must be a bucket's name: 3 to 63 lower-case letters, digits, - and single dots, with a letter or digit at both ends; no s3:// and no ARN",
    )
}

/// A region's name; it becomes part of a host name.
pub(crate) fn region() -> Rule {
    rule("self.matches('^[a-z0-9]([-a-z0-9]*[a-z0-9])?$')", "must be a region's name, such as eu-central-1")
}

/// An object's key: any text, used as it is and never as a local path.
pub(crate) fn object_key() -> Rule {
    rule(
        r"size(self) > 0 && !self.matches('[\\x00-\\x1f\\x7f]')",
        "must hold at least one character and no control characters: write the object's key as the store lists it",
    )
}

/// A prefix of keys to read.
pub(crate) fn key_prefix() -> Rule {
    rule(r"!self.matches('[\\x00-\\x1f\\x7f]')", "must hold no control characters: write the prefix as the store lists it")
}

/// Which paths below a prefix are meant; the runner reads it.
pub(crate) fn glob() -> Rule {
    rule(
        r"size(self) > 0 && !self.startsWith('/') && !self.matches('[\\x00-\\x1f\\x7f]')",
        "must hold at least one character, no / at the start and no control characters, such as **/*.csv: it is compared with what follows the prefix",
    )
}

/// A prefix of keys to write. Visible ASCII, so that the key is the same in a URL, a shell and a status.
pub(crate) fn publish_prefix() -> Rule {
    rule(
        "self.matches('^[!-~]*$') && !self.startsWith('/') && !self.contains('//') && !('/' + self + '/').contains('/../') && !('/' + self + '/').contains('/./')",
        "must be visible ASCII without / at the start, // or a . or .. segment, such as results/{namespace}/{job}/",
    )
}

/// Only the placeholders that exist.
pub(crate) fn publish_placeholders() -> Rule {
    rule(
        "!self.replace('{namespace}', '').replace('{job}', '').replace('{run}', '').replace('{index}', '').replace('{attempt}', '').matches('[{}]')",
        "holds an unknown placeholder: only {namespace}, {job}, {run}, {index} and {attempt} are replaced",
    )
}

/// Exactly one place for an output's files.
pub(crate) fn exactly_one_place() -> Rule {
    rule(
        "[has(self.s3), has(self.ipfs), has(self.configMap)].filter(set, set).size() == 1",
        "must have exactly one place: set one of s3, ipfs (ipfs: {}) and configMap",
    )
}

/// Name of a ConfigMap that is made, with placeholders.
pub(crate) fn config_map_to_be() -> Rule {
    rule(
        "self.replace('{job}', 'a').replace('{run}', '1').replace('{index}', '0').matches('^[a-z0-9]([-a-z0-9.]*[a-z0-9])?$')",
        "must be the name of the ConfigMap to make: lower-case letters, digits, - and ., such as {job}-result; only {job}, {run} and {index} are replaced",
    )
}

/// What a CID looks like in every base; the runner decodes it.
pub(crate) fn cid() -> Rule {
    rule(
        "self.matches('^[A-Za-z0-9+=_-]{8,256}$')",
        "must be the bare CID, version 0 (Qm…) or 1 (bafy…): no ipfs:// and no /ipfs/; what follows it goes into path",
    )
}

/// What a container's image is called; digests are SHA-256.
pub(crate) fn image() -> Rule {
    rule(
        "self.matches('^([A-Za-z0-9][A-Za-z0-9.-]*(:[0-9]{1,5})?/)?[a-z0-9]+([._-]+[a-z0-9]+)*(/[a-z0-9]+([._-]+[a-z0-9]+)*)*(:[A-Za-z0-9_][A-Za-z0-9_.-]{0,127})?(@sha256:[0-9a-f]{64})?$')",
        "must be the name of an image without oci:// before it, such as ghcr.io/team/prog:1.2 or ghcr.io/team/prog@sha256: and 64 hex digits",
    )
}

/// Name of an object in the job's namespace.
pub(crate) fn object_name() -> Rule {
    rule(
        "self.matches('^[a-z0-9]([-a-z0-9.]*[a-z0-9])?$')",
        "must be the name of an object in the job's namespace: lower-case letters, digits, - and .",
    )
}

/// A key of a ConfigMap; it becomes a file's name.
pub(crate) fn config_map_key() -> Rule {
    rule("self.matches('^[-._a-zA-Z0-9]+$') && self != '.' && self != '..'", "must be a key of the ConfigMap: letters, digits, -, _ and .")
}

/// A key of a Secret; it becomes a file's name.
pub(crate) fn data_key() -> Rule {
    rule("self.matches('^[-._a-zA-Z0-9]+$') && self != '.' && self != '..'", "must be a key of the Secret: letters, digits, -, _ and .")
}

/// The node's counters (P4): a former leader's late write finds both higher.
pub(crate) fn counters_grow() -> Rule {
    rule("self.epoch >= oldSelf.epoch && self.sequence >= oldSelf.sequence", "epoch and sequence never go back: read the object again")
}

/// The agent's counter (P4).
pub(crate) fn sequence_grows() -> Rule {
    rule("self.sequence >= oldSelf.sequence", "sequence never goes back: read the object again")
}

/// The number of a run only grows (P9).
pub(crate) fn run_grows() -> Rule {
    rule("!has(oldSelf.run) || (has(self.run) && self.run >= oldSelf.run)", "run only grows: read the object again")
}

/// The end of a run stays what it was written (P9). Conditions follow the spec's generation; their status and reason stay.
pub(crate) fn end_is_final() -> Rule {
    let same =
        |field: &str| format!("has(self.{field}) == has(oldSelf.{field}) && (!has(self.{field}) || self.{field} == oldSelf.{field})");
    let fields = ["completionTime", "active", "succeeded", "failed", "output", "results"].map(same).join(" && ");
    rule(
        format!(
            "!has(oldSelf.completionTime) || (has(self.run) && has(oldSelf.run) && self.run > oldSelf.run) || ({fields} && oldSelf.conditions.all(old, !(old.type in ['Finished', 'Complete', 'Failed']) || self.conditions.exists(new, new.type == old.type && new.status == old.status && new.reason == old.reason)))"
        ),
        "the end of a run is final: only another run has another end",
    )
}

/// What to run, once a run of it is in status (P2). Stands at the kind; one rule a field, so that the message names it.
pub(crate) fn settled(field: &str) -> (String, String) {
    (
        format!(
            "!has(oldSelf.status) || !has(oldSelf.status.runGeneration) || (has(self.spec.{field}) == has(oldSelf.spec.{field}) && (!has(self.spec.{field}) || self.spec.{field} == oldSelf.spec.{field}))"
        ),
        format!("spec.{field} cannot change once the job has run: create a job under another name, or delete this one first"),
    )
}

/// Keys of a map that are no longer than this: what a rule over the map may cost is estimated from it.
pub(crate) fn short_keys(characters: usize) -> (String, String) {
    (format!("self.all(key, size(key) <= {characters})"), format!("a key has at most {characters} characters"))
}

/// Base64 of at most 32 KiB, on one line.
pub(crate) fn inline() -> Rule {
    rule(
        "size(self) % 4 == 0 && self.matches('^[A-Za-z0-9+/]*={0,2}$') && (size(self) < 43692 || self.endsWith('='))",
        "must be padded standard base64 without line breaks (base64 -w0) of at most 32768 bytes: serve more from http, s3 or ipfs",
    )
}

/// Memory of a 32-bit guest.
pub(crate) fn memory() -> Rule {
    rule(
        "quantity(string(self)).compareTo(quantity('64Ki')) >= 0 && quantity(string(self)).compareTo(quantity('4Gi')) <= 0",
        "must be between 64Ki (one WebAssembly page) and 4Gi (all that a 32-bit guest can address), such as 256Mi",
    )
}

/// Bytes of an output's files together.
pub(crate) fn size_limit() -> Rule {
    rule(
        "quantity(string(self)).compareTo(quantity('1')) >= 0 && quantity(string(self)).compareTo(quantity('1Ti')) <= 0",
        "must be between 1 and 1Ti, in bytes, such as 512Mi",
    )
}

/// Processor time per second.
pub(crate) fn cpu() -> Rule {
    rule(
        "quantity(string(self)).compareTo(quantity('1m')) >= 0 && quantity(string(self)).compareTo(quantity('1024')) <= 0",
        "must be between 1m and 1024, in CPUs or thousandths of one, such as 500m",
    )
}

/// Exactly one source, in a struct with the fields of [`crate::source::Source`].
pub(crate) fn exactly_one_source() -> Rule {
    rule(
        "[has(self.http), has(self.s3), has(self.ipfs), has(self.oci), has(self.configMap), has(self.inline)].filter(set, set).size() == 1",
        "must have exactly one source: set one of http, s3, ipfs, oci, configMap and inline",
    )
}

/// As [`exactly_one_source`], in a struct that may have a Secret for one.
pub(crate) fn exactly_one_input_source() -> Rule {
    rule(
        "[has(self.http), has(self.s3), has(self.ipfs), has(self.oci), has(self.configMap), has(self.secret), has(self.inline)].filter(set, set).size() == 1",
        "must have exactly one source: set one of http, s3, ipfs, oci, configMap, secret and inline",
    )
}

/// Every input at a place of its own. Stands at the list.
pub(crate) fn input_paths_differ() -> Rule {
    let (a, b) = (input_path("a", "self"), input_path("b", "self"));
    rule(
        format!("self.all(a, self.all(b, a.name == b.name || {a} != {b}))"),
        "two inputs have the same mount path: give each a mountPath of its own",
    )
}

/// Every output at a place of its own, and none inside another. Stands at the list.
pub(crate) fn output_paths_apart() -> Rule {
    let (a, b) = (output_path("a", "self"), output_path("b", "self"));
    rule(
        format!("self.all(a, self.all(b, a.name == b.name || !({b} + '/').startsWith({a} + '/')))"),
        "two outputs have the same mount path, or one lies inside the other, so that files would belong to both: give each a mountPath beside the others",
    )
}

/// No output where an input is; the default output included.
pub(crate) fn output_is_no_input() -> Rule {
    let (input, output) = (input_path("i", "self.inputs"), output_path("o", "self.outputs"));
    rule(
        format!(
            "!has(self.inputs) || (has(self.outputs) ? self.outputs.all(o, self.inputs.all(i, {output} != {input})) : self.inputs.all(i, {input} != '/outputs'))"
        ),
        "an output has the same mount path as an input, and inputs are read-only: give one of them another mountPath (without outputs there is one at /outputs)",
    )
    .field_path(".inputs")
}

/// As `WhatToRun::input_mount_path`, absolute, for the variable `x` from `list`.
fn input_path(x: &str, list: &str) -> String {
    path(x, list, "/inputs", "/inputs/")
}

/// As `WhatToRun::effective_outputs`, absolute, for the variable `x` from `list`.
fn output_path(x: &str, list: &str) -> String {
    path(x, list, "/outputs", "/")
}

/// Names are unique, so the item with the first one's name is the first. A mount path holds no `//`, so a slash in front makes it absolute
/// but for a doubled one. Written out at each use: CEL has no functions of one's own, and the API server's estimate of a rule's cost knows
/// no bound for a list that was computed.
fn path(x: &str, list: &str, first: &str, others: &str) -> String {
    format!(
        "(has({x}.mountPath) ? ('/' + {x}.mountPath).replace('//', '/') : {x}.name == {list}[0].name ? '{first}' : '{others}' + {x}.name)"
    )
}
