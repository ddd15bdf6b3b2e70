mod any;
mod update;

use serde_json::{Value, json};

use super::{Violation, parse, validate};
use crate::yaml;

/// A job whose spec is the given YAML.
fn job(spec: &str) -> Value {
    let [spec] = <[Value; 1]>::try_from(yaml::read(spec).expect("the row is YAML")).expect("the row is one document");
    json!({ "apiVersion": "wasmjob.dev/v1alpha1", "kind": "WasmJob", "metadata": { "name": "seam-carve" }, "spec": spec })
}

/// A spec with a module and, besides, the given YAML.
fn with(more: &str) -> String {
    format!("module: {{inline: AGFzbQEAAAA=}}\n{more}")
}

const M: &str = "module: {inline: AGFzbQEAAAA=}";
const SHA: &str = "sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";

#[test]
fn specs_that_run_are_accepted() {
    let rows = [
        M.to_owned(),
        "module: {http: {url: 'https://example.com/seam.wasm?x=1#f'}, digest: 'DIGEST'}".replace("DIGEST", SHA),
        "module: {http: {url: 'HTTP://[::1]:8080'}}".to_owned(),
        "module: {s3: {bucket: programs.2, key: '../a//b c', region: eu-central-1, endpoint: 'http://127.0.0.1:9000', versionId: x}}"
            .to_owned(),
        "module: {ipfs: {cid: Qmajb9T3jBdMSp7xh2JruNrqg3hniCnM6EUVsBocARPJRQ, path: a/b.wasm}}".to_owned(),
        "module: {oci: {image: 'ghcr.io/team/prog:1.2'}}".to_owned(),
        format!("module: {{oci: {{image: 'localhost:5000/a/b__c.d--e@{SHA}'}}}}"),
        with("inputs: [{name: a, s3: {bucket: abc, prefix: '', pattern: '**/{a,b}-[0-9]?.csv'}}]"),
        with("inputs: [{name: a, unpack: Tar, s3: {bucket: abc, key: a.tar}}, {name: b, unpack: TarZst, http: {url: 'http://x/'}}]"),
        with("inputs: [{name: a, unpack: TarGz, configMap: {name: c, key: a.tgz}}, {name: b, inline: '', unpack: Tar}]"),
        with("inputs: [{name: a, optional: true, http: {url: 'http://x/'}}, {name: b, optional: false, secret: {name: s}}]"),
        with("inputs: [{name: a, oci: {image: tables}}, {name: b, oci: {image: 'Example.com:443/t:V_1'}}]"),
        with("entrypoint: run\nargs: ['', /inputs/a, 'x=y']\nenv: [{name: HELLO, value: world}, {name: EMPTY}]"),
        with("stdin: {value: \"10\\n\"}"),
        with("stdin: {input: {name: a, path: x/y.csv}}\ninputs: [{name: a, s3: {bucket: abc, prefix: data/}}]"),
        with("inputs: [{name: a, inline: ''}, {name: b, inline: QQ==}, {name: c, inline: QQ==, mountPath: data/c}]"),
        with("inputs: [{name: a, configMap: {name: tables.v1}}, {name: b, configMap: {name: tables, key: Points_2.csv}}]"),
        with(
            "env: [{name: A, valueFrom: {configMapKeyRef: {name: c, key: k, optional: true}}}]\nenvFrom: [{prefix: P_, configMapRef: {name: c}}]",
        ),
        with("stdin: {valueFrom: {configMapKeyRef: {name: c, key: k}}}"),
        with("stdin: {valueFrom: {secretKeyRef: {name: s, key: k}}}\nenvFrom: [{secretRef: {name: s, optional: true}}]"),
        with("inputs: [{name: a, secret: {name: s}}, {name: b, secret: {name: s, key: k}}]"),
        with("inputs: [{name: a, s3: {bucket: abc, key: k, credentialsSecretRef: {name: s}}}]"),
        with("outputs: [{name: o, publish: [{s3: {bucket: abc, credentialsSecretRef: {name: s}}}]}]"),
        with(
            "backoffLimit: 3\nretryBackoff: {initialSeconds: 0}\nactiveDeadlineSeconds: 60\nttlSecondsAfterFinished: 0\nsuspend: true\ncancel: true",
        ),
        with("outputs: []"),
        with("outputs: [{name: outputs}, {name: plots}, {name: c, mountPath: /outputs-c}]"),
        with("outputs: [{name: o, sizeLimit: 1, publish: [{s3: {bucket: abc, prefix: 'r/{namespace}/{job}/'}}, {s3: {bucket: abc}}]}]"),
        with(
            "outputs: [{name: o, publish: [{s3: {bucket: abc, prefix: '{run}/{index}-{attempt}/', layout: Flat, encoding: TarGz}}, {s3: {bucket: abc, layout: Attempt, encoding: Plain}}, {ipfs: {}}]}]",
        ),
        with("outputs: [{name: o, publish: [{configMap: {name: result.v1}}, {configMap: {name: '{job}-{run}-{index}'}}]}]"),
        with("resources: {requests: {cpu: 1, memory: 65536}, limits: {memory: 4Gi}}"),
        with("resources: {requests: {cpu: 500m, memory: 128Mi}, limits: {memory: 128Mi}}"),
        with("wasmLimits: {fuel: 9223372036854775807, maxStackBytes: 65536, maxTableElements: 10000000}\ntimeoutSeconds: 31536000"),
        // A null is no field, as for the API server.
        with("args: null\nstdin: ~\noutputs:"),
    ];
    for row in rows {
        assert_eq!(validate(&job(&row)), [], "{row}");
        parse(&job(&row)).expect("what validates is read");
    }
}

type Row = (String, &'static str, &'static str);

fn row(spec: &str, field: &'static str, message: &'static str) -> Row {
    (spec.to_owned(), field, message)
}

fn and(more: &str, field: &'static str, message: &'static str) -> Row {
    (with(more), field, message)
}

fn many(count: usize, item: &str) -> String {
    vec![item; count].join(", ")
}

/// One row for each rule: what is written, the field that is named, and words of its message.
fn refused() -> Vec<Row> {
    [refused_modules(), refused_guests(), refused_inputs(), refused_outputs(), refused_limits()].concat()
}

fn refused_modules() -> Vec<Row> {
    vec![
        row("args: []", "spec.module", "is required"),
        row("module: {}", "spec.module", "exactly one source"),
        row(
            "module: {inline: AGFzbQEAAAA=, http: {url: 'http://x/'}}",
            "spec.module",
            "set one of http, s3, ipfs, oci, configMap and inline",
        ),
        row("module: {s3: {bucket: abc, prefix: a/}}", "spec.module.s3.prefix", "write key in place of prefix"),
        row("module: {s3: {bucket: abc}}", "spec.module.s3", "exactly one of key"),
        row("module: {s3: {bucket: abc, key: a, prefix: b}}", "spec.module.s3", "exactly one of key"),
        row("module: {s3: {bucket: abc, key: ''}}", "spec.module.s3.key", "at least one character"),
        row("module: {s3: {bucket: abc, key: \"a\\nb\"}}", "spec.module.s3.key", "no control characters"),
        row("module: {s3: {bucket: Abc, key: a}}", "spec.module.s3.bucket", "lower-case"),
        row("module: {s3: {bucket: a..b, key: a}}", "spec.module.s3.bucket", "bucket's name"),
        row("module: {s3: {bucket: 'arn:aws:s3:::b', key: a}}", "spec.module.s3.bucket", "no ARN"),
        row("module: {s3: {bucket: abc, key: a, region: 'us-east-1.evil.com#'}}", "spec.module.s3.region", "region's name"),
        row("module: {s3: {bucket: abc, key: a, endpoint: 'file:///etc'}}", "spec.module.s3.endpoint", "http:// or https://"),
        row("module: {s3: {bucket: abc, key: a, endpoint: 'http://u:p@x'}}", "spec.module.s3.endpoint", "without user name"),
        row("module: {s3: {bucket: abc, key: a, versionId: ''}}", "spec.module.s3.versionId", "at least 1 character"),
        row("module: {http: {url: 'ftp://x/a'}}", "spec.module.http.url", "http:// or https://"),
        row("module: {http: {url: 'https://user:pw@x/a'}}", "spec.module.http.url", "without user name"),
        row("module: {http: {url: 'https://a\\@b/'}}", "spec.module.http.url", "without user name"),
        row("module: {http: {url: 'https:///a'}}", "spec.module.http.url", "with a host"),
        row("module: {http: {url: 'https://x/a b'}}", "spec.module.http.url", "spaces"),
        row("module: {http: {}}", "spec.module.http.url", "is required"),
        row("module: {ipfs: {cid: ''}}", "spec.module.ipfs.cid", "bare CID"),
        row("module: {ipfs: {cid: 'ipfs://bafybeigdyrzt5'}}", "spec.module.ipfs.cid", "no ipfs://"),
        row("module: {ipfs: {cid: bafybeigdyrzt5/a}}", "spec.module.ipfs.cid", "goes into path"),
        row("module: {ipfs: {cid: bafybeigdyrzt5, path: ../a}}", "spec.module.ipfs.path", "relative path"),
        row("module: {ipfs: {cid: bafybeigdyrzt5, path: 'a/..%2Fb'}}", "spec.module.ipfs.path", "percent-encoded"),
        row("module: {ipfs: {cid: bafybeigdyrzt5, path: /a}}", "spec.module.ipfs.path", "no / at either end"),
        row("module: {oci: {}}", "spec.module.oci.image", "is required"),
        row("module: {oci: {image: ''}}", "spec.module.oci.image", "the name of an image"),
        row("module: {oci: {image: 'oci://ghcr.io/team/prog'}}", "spec.module.oci.image", "without oci://"),
        row("module: {oci: {image: ghcr.io/Team/prog}}", "spec.module.oci.image", "the name of an image"),
        row("module: {oci: {image: ghcr.io/team/../prog}}", "spec.module.oci.image", "the name of an image"),
        row("module: {oci: {image: 'user@ghcr.io/team/prog'}}", "spec.module.oci.image", "the name of an image"),
        row("module: {oci: {image: 'ghcr.io/team/prog:a b'}}", "spec.module.oci.image", "the name of an image"),
        row("module: {oci: {image: 'ghcr.io/team/prog@sha256:abc'}}", "spec.module.oci.image", "64 hex digits"),
        row("module: {configMap: {name: modules}}", "spec.module.configMap", "write configMap.key"),
        row("module: {configMap: {name: modules, key: ..}}", "spec.module.configMap.key", "a key of the ConfigMap"),
        row("module: {inline: 'AGFz bQE='}", "spec.module.inline", "base64"),
        row("module: {inline: AGF}", "spec.module.inline", "base64"),
        (format!("module: {{inline: {}}}", "A".repeat(43_692)), "spec.module.inline", "at most 32768 bytes"),
        (format!("module: {{inline: {}}}", "A".repeat(43_696)), "spec.module.inline", "at most 43692 characters"),
        row("module: {inline: AGFzbQEAAAA=, digest: 'sha256:abc'}", "spec.module.digest", "64 lower-case hex"),
        (format!("{M}\n").replace('}', &format!(", digest: '{}'}}", SHA.to_uppercase())), "spec.module.digest", "64 lower-case hex"),
        row("module: {inline: AGFzbQEAAAA=, digest: 'md5:d41d8cd98f00b204e9800998ecf8427e'}", "spec.module.digest", "sha256:"),
    ]
}

fn refused_guests() -> Vec<Row> {
    let long = "x".repeat(33_000);
    vec![
        and("entrypoint: ''", "spec.entrypoint", "at least one character"),
        and("args: [\"a\\0b\"]", "spec.args", "NUL"),
        and("args: [5]", "spec.args[0]", "quote it"),
        and("args: [yes]", "spec.args[0]", "boolean true"),
        (with(&format!("args: [{}]", many(257, "a"))), "spec.args", "at most 256 items, but has 257"),
        (with(&format!("args: [{long}]")), "spec.args[0]", "at most 32768 characters, but has 33000"),
        (with(&format!("args: [{}]", many(5, &"é".repeat(16_000)))), "spec.args", "131072 bytes"),
        and("env: [{name: '', value: a}]", "spec.env[0].name", "at least one character"),
        and("env: [{name: A=B}]", "spec.env[0].name", "write the value under value"),
        and("env: [{name: \"A\\0\"}]", "spec.env[0].name", "NUL"),
        and("env: [{name: A, value: \"\\0\"}]", "spec.env[0].value", "NUL"),
        and("env: [{name: A, value: 1}]", "spec.env[0].value", "must be a text"),
        and("env: [{name: A}, {name: B}, {name: A}]", "spec.env[2].name", "also the name of spec.env[0]"),
        (with(&format!("env: [{}]", many(300, "{name: A}"))), "spec.env", "at most 256 items"),
        and("env: [{name: A, value: x, valueFrom: {configMapKeyRef: {name: c, key: k}}}]", "spec.env[0]", "at most one of value"),
        and(
            "env: [{name: A, valueFrom: {configMapKeyRef: {name: C, key: k}}}]",
            "spec.env[0].valueFrom.configMapKeyRef.name",
            "lower-case",
        ),
        and(
            "env: [{name: A, valueFrom: {configMapKeyRef: {name: c, key: ../k}}}]",
            "spec.env[0].valueFrom.configMapKeyRef.key",
            "a key of",
        ),
        and("env: [{name: A, valueFrom: {}}]", "spec.env[0].valueFrom", "exactly one of configMapKeyRef and secretKeyRef"),
        and("envFrom: [{prefix: A}]", "spec.envFrom[0]", "exactly one of configMapRef and secretRef"),
        (
            with(&format!("inputs: [{{name: a, secret: {{name: s, key: k}}, digest: '{SHA}'}}]")),
            "spec.inputs[0].digest",
            "would tell of what it holds",
        ),
        and("inputs: [{name: a, secret: {name: s}, inline: ''}]", "spec.inputs[0]", "exactly one source"),
        and(
            "env: [{name: A, valueFrom: {secretKeyRef: {name: s, key: a/b}}}]",
            "spec.env[0].valueFrom.secretKeyRef.key",
            "a key of the Secret",
        ),
        and(
            "env: [{name: A, valueFrom: {secretKeyRef: {name: s, key: k, namespace: x}}}]",
            "spec.env[0].valueFrom.secretKeyRef.namespace",
            "unknown field",
        ),
        and("envFrom: [{prefix: A=, configMapRef: {name: c}}]", "spec.envFrom[0].prefix", "neither = nor NUL"),
        and("envFrom: [{configMapRef: {name: c_d}}]", "spec.envFrom[0].configMapRef.name", "lower-case"),
        and("stdin: {value: a, valueFrom: {configMapKeyRef: {name: c, key: k}}}", "spec.stdin", "exactly one of value"),
        and("stdin: {}", "spec.stdin", "exactly one of value"),
        and("stdin: {value: a, input: {name: b}}\ninputs: [{name: b, inline: ''}]", "spec.stdin", "exactly one of value"),
        and("stdin: {value: \"\\0\"}", "spec.stdin.value", "NUL"),
        and("stdin: {input: {name: b}}", "spec.stdin.input.name", "one of the inputs"),
        and("stdin: {input: {name: b, path: a/./b}}\ninputs: [{name: b, inline: ''}]", "spec.stdin.input.path", "relative path"),
    ]
}

fn refused_inputs() -> Vec<Row> {
    vec![
        and("inputs: [{name: a}]", "spec.inputs[0]", "exactly one source"),
        and("inputs: [{name: A_b, inline: ''}]", "spec.inputs[0].name", "DNS-1123"),
        and("inputs: [{inline: ''}]", "spec.inputs[0].name", "is required"),
        and("inputs: [{name: a, inline: ''}, {name: a, inline: ''}]", "spec.inputs[1].name", "also the name of spec.inputs[0]"),
        (
            with(&format!("inputs: [{{name: a, s3: {{bucket: abc, prefix: b}}, digest: '{SHA}'}}]")),
            "spec.inputs[0].digest",
            "s3.prefix is many",
        ),
        and("inputs: [{name: a, s3: {bucket: abc, key: b, pattern: '*'}}]", "spec.inputs[0].s3", "together with prefix"),
        and("inputs: [{name: a, s3: {bucket: abc, prefix: b, pattern: ''}}]", "spec.inputs[0].s3.pattern", "at least one character"),
        and("inputs: [{name: a, s3: {bucket: abc, prefix: b, pattern: /a}}]", "spec.inputs[0].s3.pattern", "no / at the start"),
        and("inputs: [{name: a, s3: {bucket: abc, prefix: b, pattern: \"a\\t\"}}]", "spec.inputs[0].s3.pattern", "no control characters"),
        and("inputs: [{name: a, unpack: Tar, s3: {bucket: abc, prefix: b}}]", "spec.inputs[0].unpack", "read one object with s3.key"),
        and("inputs: [{name: a, unpack: Tar, configMap: {name: c}}]", "spec.inputs[0].unpack", "name the key of the ConfigMap"),
        and("inputs: [{name: a, unpack: Tar, secret: {name: c, key: k}}]", "spec.inputs[0].unpack", "remove unpack"),
        and("inputs: [{name: a, optional: true, secret: {name: c, key: k}}]", "spec.inputs[0].optional", "remove optional"),
        and("inputs: [{name: a, optional: 'yes', inline: ''}]", "spec.inputs[0].optional", "must be true or false"),
        and("inputs: [{name: a, unpack: Zip, inline: ''}]", "spec.inputs[0].unpack", "Zip"),
        and("inputs: [{name: a, s3: {bucket: abc, prefix: b, versionId: v}}]", "spec.inputs[0].s3", "together with key"),
        and("inputs: [{name: a, s3: {bucket: abc, prefix: \"b\\t\"}}]", "spec.inputs[0].s3.prefix", "no control characters"),
        and("inputs: [{name: a, inline: '', mountPath: ''}]", "spec.inputs[0].mountPath", "below the root"),
        and("inputs: [{name: a, inline: '', mountPath: /}]", "spec.inputs[0].mountPath", "below the root"),
        and("inputs: [{name: a, inline: '', mountPath: /a/../b}]", "spec.inputs[0].mountPath", "no . or .. segment"),
        and("inputs: [{name: a, inline: '', mountPath: ..}]", "spec.inputs[0].mountPath", "no . or .. segment"),
        and("inputs: [{name: a, inline: '', mountPath: ./b}]", "spec.inputs[0].mountPath", "no . or .. segment"),
        and("inputs: [{name: a, inline: '', mountPath: /a//b}]", "spec.inputs[0].mountPath", "no //"),
        and("inputs: [{name: a, inline: '', mountPath: /a/}]", "spec.inputs[0].mountPath", "no / at the end"),
        and("inputs: [{name: a, inline: '', mountPath: \"/a\\0\"}]", "spec.inputs[0].mountPath", "no NUL"),
        and("inputs: [{name: a, inline: '', mountPath: data}, {name: b, inline: '', mountPath: /data}]", "spec.inputs", "two inputs"),
        and("inputs: [{name: a, inline: ''}, {name: b, inline: '', mountPath: inputs}]", "spec.inputs", "two inputs"),
        and(
            "inputs: [{name: a, inline: '', mountPath: /x}, {name: b, inline: ''}, {name: c, inline: '', mountPath: /inputs/b}]",
            "spec.inputs",
            "two inputs",
        ),
        and("inputs: [{name: a, inline: '', mountPath: outputs}]", "spec.inputs", "the same mount path as an input"),
        and(
            "inputs: [{name: a, inline: '', mountPath: /p}]\noutputs: [{name: o}, {name: p}]",
            "spec.inputs",
            "the same mount path as an input",
        ),
        and("inputs: [{name: a, inline: '', mountpath: /x}]", "spec.inputs[0].mountpath", "did you mean mountPath?"),
    ]
}

fn refused_outputs() -> Vec<Row> {
    vec![
        and("outputs: [{name: a}, {name: b, mountPath: outputs}]", "spec.outputs", "two outputs"),
        and("outputs: [{name: a}, {name: b, mountPath: /outputs/b}]", "spec.outputs", "inside the other"),
        and("outputs: [{name: a}, {name: a}]", "spec.outputs[1].name", "also the name of spec.outputs[0]"),
        and("outputs: [{name: -a}]", "spec.outputs[0].name", "DNS-1123"),
        and("outputs: [{name: a, mountPath: /a/..}]", "spec.outputs[0].mountPath", "no . or .. segment"),
        and("outputs: [{name: a, sizeLimit: 0}]", "spec.outputs[0].sizeLimit", "between 1 and 1Ti"),
        and("outputs: [{name: a, sizeLimit: 2Ti}]", "spec.outputs[0].sizeLimit", "between 1 and 1Ti"),
        and("outputs: [{name: a, sizeLimit: -1Gi}]", "spec.outputs[0].sizeLimit", "such as 64Mi"),
        and("outputs: [{name: a, publish: [{}]}]", "spec.outputs[0].publish[0]", "set one of s3, ipfs (ipfs: {}) and configMap"),
        and("outputs: [{name: a, publish: [{s3: {bucket: abc}, ipfs: {}}]}]", "spec.outputs[0].publish[0]", "exactly one place"),
        and("outputs: [{name: a, publish: [{configMap: {name: b}, ipfs: {}}]}]", "spec.outputs[0].publish[0]", "exactly one place"),
        and("outputs: [{name: a, publish: [{configMap: {}}]}]", "spec.outputs[0].publish[0].configMap.name", "is required"),
        and(
            "outputs: [{name: a, publish: [{configMap: {name: A_b}}]}]",
            "spec.outputs[0].publish[0].configMap.name",
            "such as {job}-result",
        ),
        and(
            "outputs: [{name: a, publish: [{configMap: {name: '{job}-{attempt}'}}]}]",
            "spec.outputs[0].publish[0].configMap.name",
            "only {job}, {run} and {index} are replaced",
        ),
        and(
            "outputs: [{name: a, publish: [{ipfs: {api: 'http://x:5001'}}]}]",
            "spec.outputs[0].publish[0].ipfs.api",
            "is an unknown field",
        ),
        and("outputs: [{name: a, publish: [{s3: {bucket: abc, prefix: ../x}}]}]", "spec.outputs[0].publish[0].s3.prefix", ".. segment"),
        and(
            "outputs: [{name: a, publish: [{s3: {bucket: abc, prefix: /x}}]}]",
            "spec.outputs[0].publish[0].s3.prefix",
            "without / at the start",
        ),
        and("outputs: [{name: a, publish: [{s3: {bucket: abc, prefix: a//b}}]}]", "spec.outputs[0].publish[0].s3.prefix", "//"),
        and(
            "outputs: [{name: a, publish: [{s3: {bucket: abc, prefix: a/./b}}]}]",
            "spec.outputs[0].publish[0].s3.prefix",
            ". or .. segment",
        ),
        and("outputs: [{name: a, publish: [{s3: {bucket: abc, prefix: 'ä/'}}]}]", "spec.outputs[0].publish[0].s3.prefix", "visible ASCII"),
        and(
            "outputs: [{name: a, publish: [{s3: {bucket: abc, prefix: '{user}/'}}]}]",
            "spec.outputs[0].publish[0].s3.prefix",
            "{namespace}, {job}, {run}, {index} and {attempt}",
        ),
        and("outputs: [{name: a, publish: [{s3: {bucket: abc, layout: flat}}]}]", "spec.outputs[0].publish[0].s3.layout", "Attempt"),
        and("outputs: [{name: a, publish: [{s3: {bucket: abc, encoding: Zip}}]}]", "spec.outputs[0].publish[0].s3.encoding", "TarGz"),
        (
            with(&format!("outputs: [{{name: a, publish: [{{s3: {{bucket: abc, prefix: {}}}}}]}}]", "x".repeat(2000))),
            "spec.outputs[0].publish[0].s3.prefix",
            "at most 512 characters",
        ),
    ]
}

fn refused_limits() -> Vec<Row> {
    vec![
        and("resources: {limits: {memory: 0}}", "spec.resources.limits.memory", "between 64Ki"),
        and("resources: {limits: {memory: 1}}", "spec.resources.limits.memory", "between 64Ki"),
        and("resources: {limits: {memory: 5Gi}}", "spec.resources.limits.memory", "and 4Gi"),
        and("resources: {limits: {memory: -64Mi}}", "spec.resources.limits.memory", "such as 64Mi"),
        and("resources: {limits: {memory: '64Mi '}}", "spec.resources.limits.memory", "without spaces"),
        and("resources: {limits: {memory: 0.5}}", "spec.resources.limits.memory", "an integer or a text"),
        and("resources: {requests: {memory: 5Gi}}", "spec.resources.requests.memory", "and 4Gi"),
        and("resources: {requests: {cpu: 0}}", "spec.resources.requests.cpu", "between 1m and 1024"),
        and(
            "resources: {requests: {memory: 2Mi}, limits: {memory: 1Mi}}",
            "spec.resources.requests.memory",
            "must not exceed limits.memory",
        ),
        and("wasmLimits: {fuel: 0}", "spec.wasmLimits.fuel", "at least 1"),
        and("wasmLimits: {maxStackBytes: 1024}", "spec.wasmLimits.maxStackBytes", "at least 65536"),
        and("wasmLimits: {maxStackBytes: 67108865}", "spec.wasmLimits.maxStackBytes", "at most 67108864"),
        and("wasmLimits: {maxTableElements: 0}", "spec.wasmLimits.maxTableElements", "at least 1"),
        and("timeoutSeconds: 0", "spec.timeoutSeconds", "at least 1"),
        and("timeoutSeconds: -1", "spec.timeoutSeconds", "at least 1"),
        and("timeoutSeconds: 1000000000000", "spec.timeoutSeconds", "at most 31536000"),
        and("timeoutSeconds: 1h", "spec.timeoutSeconds", "must be an integer, but is the text \"1h\""),
        and("timeoutSecond: 5", "spec.timeoutSecond", "did you mean timeoutSeconds?"),
        and("fuel: 5", "spec.fuel", "it belongs under spec.wasmLimits"),
        and("backoffLimit: -1", "spec.backoffLimit", "at least 0"),
        and("retryBackoff: {initialSeconds: 9, maxSeconds: 5}", "spec.retryBackoff.initialSeconds", "must not exceed maxSeconds"),
        and("retryBackoff: {maxSeconds: 0}", "spec.retryBackoff.maxSeconds", "at least 1"),
        and("activeDeadlineSeconds: 0", "spec.activeDeadlineSeconds", "at least 1"),
        and("ttlSecondsAfterFinished: -1", "spec.ttlSecondsAfterFinished", "at least 0"),
        and("suspend: 'true'", "spec.suspend", "must be true or false"),
        and("parallelism: 5", "spec.parallelism", "is an unknown field"),
    ]
}

#[test]
fn specs_that_cannot_run_are_refused_with_field_and_remedy() {
    for (spec, field, message) in refused() {
        let violations = validate(&job(&spec));
        let named = violations.iter().any(|violation| violation.field == field && violation.message.contains(message));
        assert!(named, "{spec:.300}\n  wanted {field}: …{message}…\n  got {violations:#?}");
        assert_eq!(parse(&job(&spec)).expect_err("what is refused is not read"), violations);
    }
}

#[test]
fn every_rule_of_the_schema_has_a_row_that_breaks_it() {
    let mut rules = Vec::new();
    messages_of_rules(&super::CONTRACT.schema["properties"]["spec"], &mut rules);
    let said: Vec<String> = refused().iter().flat_map(|(spec, ..)| validate(&job(spec))).map(|violation| violation.message).collect();
    let unbroken: Vec<&String> = rules.iter().filter(|rule| !said.contains(rule)).collect();
    assert!(unbroken.is_empty(), "no row breaks these rules: {unbroken:#?}");
}

fn messages_of_rules(schema: &Value, found: &mut Vec<String>) {
    let rules = schema["x-kubernetes-validations"].as_array().into_iter().flatten();
    // Rules about a change have rows of their own, in `update`.
    let of_one = rules.filter(|rule| !rule["rule"].as_str().is_some_and(|rule| rule.contains("oldSelf")));
    found.extend(of_one.map(|rule| rule["message"].as_str().expect("every rule has a message").to_owned()));
    for property in schema["properties"].as_object().into_iter().flat_map(|properties| properties.values()) {
        messages_of_rules(property, found);
    }
    if schema["items"].is_object() {
        messages_of_rules(&schema["items"], found);
    }
}

#[test]
fn the_object_around_the_spec_is_checked_too() {
    let rows = [
        (json!([]), "", "is no object"),
        (json!({}), "apiVersion", "write apiVersion: wasmjob.dev/v1alpha1"),
        (json!({ "apiVersion": "batch/v1", "kind": "Job" }), "kind", "is the text \"Job\": write kind: WasmJob"),
        (with_metadata(json!(null)), "metadata", "is required"),
        (with_metadata(json!({})), "metadata.name", "is required"),
        (with_metadata(json!({ "name": "Seam_Carve" })), "metadata.name", "DNS-1123 subdomain"),
        (with_metadata(json!({ "name": "a".repeat(64) })), "", "at most 63 characters"),
        (with_metadata(json!({ "name": 5 })), "metadata.name", "must be a text"),
        (with_metadata(json!({ "nam": "a", "name": "a" })), "metadata.nam", "did you mean name?"),
        (with_metadata(json!({ "name": "a", "namespace": "A b" })), "metadata.namespace", "namespace's name"),
        (with_metadata(json!({ "name": "a", "labels": { "x": "a b" } })), "metadata.labels.x", "no label value"),
        (with_metadata(json!({ "name": "a", "labels": { "a b": "x" } })), "metadata.labels.a b", "no label key"),
        (with_metadata(json!({ "name": "a", "labels": { "x": 1 } })), "metadata.labels.x", "must be a text"),
        (json!({ "apiVersion": "wasmjob.dev/v1alpha1", "kind": "WasmJob", "metadata": { "name": "a" } }), "spec", "is required"),
    ];
    for (value, field, message) in rows {
        let violations = validate(&value);
        let named = violations.iter().any(|violation| violation.field == field && violation.message.contains(message));
        assert!(named, "{value}\n  wanted {field:?}: …{message}…\n  got {violations:#?}");
    }
}

fn with_metadata(metadata: Value) -> Value {
    let mut value = job(M);
    value["metadata"] = metadata;
    value
}

#[test]
fn metadata_that_the_api_server_takes_is_accepted() {
    let rows = [
        json!({ "generateName": "seam-" }),
        json!({ "name": "a.b-c.1", "namespace": "team-a", "creationTimestamp": null, "finalizers": ["x/y"] }),
        json!({ "name": "a", "labels": { "app.kubernetes.io/name": "x_1.y", "empty": "" }, "annotations": { "a": "any text\n" } }),
    ];
    for metadata in rows {
        assert_eq!(validate(&with_metadata(metadata.clone())), [], "{metadata}");
    }
}

#[test]
fn a_status_in_the_file_is_ignored() {
    let mut value = job(M);
    value["status"] = json!({ "nonsense": true });
    assert_eq!(validate(&value), []);
    assert_eq!(parse(&value).expect("valid").status, None);
}

#[test]
fn everything_that_is_wrong_is_said_at_once() {
    let value = job(&with("timeoutSeconds: 0\ntypo: 1\nstdin: {}"));
    let fields: Vec<String> = validate(&value).into_iter().map(|Violation { field, .. }| field).collect();
    assert_eq!(fields, ["spec.stdin", "spec.timeoutSeconds", "spec.typo"]);
}

#[test]
fn every_sample_validates() {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/../manifests/samples");
    for entry in std::fs::read_dir(folder).into_iter().flatten() {
        let path = entry.expect("the folder is readable").path();
        if path.extension().is_none_or(|extension| extension != "yaml") {
            continue;
        }
        let text = std::fs::read_to_string(&path).expect("the sample is readable");
        for document in yaml::read(&text).expect("the sample is YAML") {
            if document["kind"] == "WasmJob" {
                assert_eq!(validate(&document), [], "{}", path.display());
                parse(&document).expect("what validates is read");
            }
        }
    }
}
