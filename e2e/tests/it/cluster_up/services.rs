//! Services with selectors reach the agents and the operator of `up`, as they would on any cluster.

use std::fs;

use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;

use super::{Place, Up, id_of, until};
use crate::place::example;

const NAMESPACE: &str = "wasmjob-system";

/// One Service by the name of the port, as monitoring selects them.
fn service(name: &str, selected: &str) -> String {
    format!(
        "apiVersion: v1\nkind: Service\nmetadata: {{name: {name}, namespace: {NAMESPACE}}}\nspec:\n  selector: \
         {{app.kubernetes.io/name: {selected}}}\n  ports: [{{name: metrics, port: 80, targetPort: metrics}}]\n"
    )
}

/// The pods that the Service's EndpointSlices name, with whether each is ready.
fn endpoints(up: &Up, service: &str) -> Vec<(String, bool)> {
    let selector = format!("kubernetes.io/service-name={service}");
    let slices = up.asked(&["get", "endpointslices", "-n", NAMESPACE, "-l", &selector, "-o", "json"]);
    let slices: Value = serde_json::from_str(&slices).expect("JSON");
    let slices = slices["items"].as_array().expect("a list").iter();
    let all = slices.flat_map(|slice| slice["endpoints"].as_array().into_iter().flatten());
    let mut found: Vec<_> =
        all.map(|endpoint| (endpoint["nodeName"].as_str().expect("a node").to_owned(), endpoint["conditions"]["ready"] == true)).collect();
    found.sort();
    found
}

fn are(up: &Up, service: &str, wanted: &[(&str, bool)]) {
    let wanted: Vec<_> = wanted.iter().map(|(node, ready)| ((*node).to_owned(), *ready)).collect();
    until(&format!("the endpoints of {service} are {wanted:?}"), || endpoints(up, service) == wanted);
}

#[test]
fn services_reach_the_agents_and_the_operator_while_they_are_ready() {
    let place = Place::new();
    let up = place.up(&["--agents", "2"]);
    let file = place.cache.path().join("services.yaml");
    fs::write(&file, [service("agents", "wasmjob-agent"), service("operator", "wasmjob-operator")].join("---\n")).expect("written");
    up.asked(&["apply", "-f", file.to_str().expect("text")]);
    are(&up, "operator", &[("node-0", true)]);
    are(&up, "agents", &[("node-1", true), ("node-2", true)]);

    let read = |service: &str, path: &str| {
        up.kubectl(&["get", "--raw", &format!("/api/v1/namespaces/{NAMESPACE}/services/{service}:metrics/proxy{path}")])
    };
    let rows = [
        ("agents", "/metrics", "wasmjob_agent_attempts_running 0"),
        ("agents", "/readyz", "ready"),
        ("agents", "/livez", "alive"),
        ("operator", "/metrics", "wasmjob_operator_leader 1"),
        ("operator", "/readyz", "ok"),
        ("operator", "/livez", "ok"),
    ];
    let says = |rows: &[(&str, &str, &str)]| {
        for (service, path, wanted) in rows {
            // The API server has its own view of the slices, which may be a moment behind; and it asks any of the endpoints.
            until(&format!("{service} says {wanted:?} at {path}"), || {
                let output = read(service, path);
                String::from_utf8_lossy(&output.stdout).lines().any(|line| line == *wanted)
            });
        }
    };
    says(&rows);

    // How long the phases of a job took that carries all it needs.
    let sample = example("../manifests/samples/wordcount.yaml");
    up.asked(&["apply", "-f", &sample]);
    up.asked(&["wait", "--for=condition=Complete", "wj/wordcount", "--timeout=120s"]);
    let phases = [("operator", ["queue", "assign", "report"]), ("agents", ["fetch", "compile", "run"])];
    for (service, phases) in phases {
        let lines = phases.map(|phase| format!("wasmjob_phase_seconds_count{{phase=\"{phase}\"}} 1"));
        says(&lines.each_ref().map(|line| (service, "/metrics", line.as_str())));
    }

    // One that does not answer is left out, until it does.
    let agent = Pid::from_raw(id_of("node-1", &up.processes())).expect("an id");
    kill_process(agent, Signal::STOP).expect("stopped");
    are(&up, "agents", &[("node-1", false), ("node-2", true)]);
    kill_process(agent, Signal::CONT).expect("it goes on");
    are(&up, "agents", &[("node-1", true), ("node-2", true)]);
    place.goes_down(&up);
}
