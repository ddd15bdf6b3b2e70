//! What a job's status says against what really happened: counts, ends, results.

use std::sync::Arc;

use crds::job::WasmJob;
use serde_json::Value;

use super::super::api::rules::ends;
use super::super::guest::Ending;
use super::super::operator::typed;
use super::Ledger;

impl Ledger {
    pub(super) fn look_at_job(&mut self, before: Option<&Value>, after: &Arc<Value>) -> Result<(), String> {
        let status = &after["status"];
        let uid: Arc<str> = after["metadata"]["uid"].as_str().unwrap_or_default().into();
        let run = status["run"].as_i64().unwrap_or(0);
        if let Some(end) = self.ends.get(&(uid.clone(), run)) {
            return same_end(&end["status"], status);
        }
        if status["completionTime"].is_string() {
            self.look_at_end(&uid, run, after)?;
            self.ends.insert((uid, run), after.clone());
            return Ok(());
        }
        let old = before.map_or(&Value::Null, |before| &before["status"]);
        self.look_at_counts(&uid, run, old, status, &after["spec"])
    }

    /// I3, and no more counted attempts than the spec allows.
    fn look_at_counts(&self, uid: &Arc<str>, run: i64, old: &Value, new: &Value, spec: &Value) -> Result<(), String> {
        let count = |status: &Value, field: &str| status["retries"][0][field].as_i64().unwrap_or(0);
        let really = |ending: Ending| {
            let ended = self.endings.iter().filter(|(_, how)| **how == ending);
            i64::try_from(
                ended.filter(|(fence, _)| self.starts.get(*fence).is_some_and(|start| start.uid == *uid && start.run == run)).count(),
            )
        };
        let fields = ["failures", "budgeted", "lost", "free"];
        if old["run"] == new["run"]
            && let Some(field) = fields.into_iter().find(|field| count(old, field) > count(new, field))
        {
            return Err(format!("I3: {field} of {uid} goes back from {} to {}", count(old, field), count(new, field)));
        }
        let placed = self.ever_placed.values().filter(|(of, in_run)| of == uid && *in_run == run).count();
        let counted: i64 = fields.into_iter().map(|field| count(new, field)).sum();
        if usize::try_from(counted).is_ok_and(|counted| counted > placed) {
            return Err(format!("I3: {counted} endings of {uid} are counted, and it was assigned {placed} times"));
        }
        for (field, ending) in [("failures", Ending::Fails), ("budgeted", Ending::CannotFetch)] {
            let really = really(ending).unwrap_or(0);
            if count(new, field) > really {
                return Err(format!("I3: {field} of {uid} is {}, and that happened {really} times", count(new, field)));
            }
        }
        let limit = spec["backoffLimit"].as_i64().unwrap_or(0);
        // Somebody may lower the limit afterwards.
        if count(new, "failures") > limit.max(count(old, "failures")) {
            return Err(format!("{uid} goes on after {} failures, and its backoffLimit is {limit}", count(new, "failures")));
        }
        Ok(())
    }

    /// I2: the end is that of one attempt that really ended so, or the spec wants it.
    fn look_at_end(&self, uid: &Arc<str>, run: i64, job: &Value) -> Result<(), String> {
        let (spec, status) = (&job["spec"], &job["status"]);
        let reason = ends(status).iter().find(|(type_, _, _)| *type_ == "Finished").map_or("", |(_, _, reason)| *reason).to_owned();
        let shown = status["output"]["stdoutTail"].as_str().filter(|tail| !tail.is_empty());
        let ended = shown.and_then(|fence| Some((self.starts.get(fence)?, self.endings.get(fence).copied())));
        let of_this = ended.is_none_or(|(start, _)| start.uid == *uid && start.run == run);
        let placed = self.ever_placed.values().filter(|(of, in_run)| of == uid && *in_run == run).count();
        let any = |ending: Ending| {
            let mut fences = self.endings.iter().filter(|(_, how)| **how == ending).map(|(fence, _)| fence);
            fences.any(|fence| self.starts.get(fence).is_some_and(|start| start.uid == *uid))
        };
        let holds = match reason.as_str() {
            "Completed" => {
                let hash = typed::<WasmJob>(job).spec.run.hash();
                ended.is_some_and(|(start, how)| how == Some(Ending::Completes) && start.hash == hash)
            }
            // A report that was refused has shrunk: it shows nothing (P13).
            "GuestExit" => ended.map_or_else(|| any(Ending::Fails), |(_, how)| how == Some(Ending::Fails)),
            "BackoffLimitExceeded" => any(Ending::Fails) || placed > 3,
            "FetchFailed" => any(Ending::CannotFetch),
            "Cancelled" => spec["cancel"] == true,
            "DeadlineExceeded" => spec["activeDeadlineSeconds"].is_i64(),
            "InvalidSpec" => job["metadata"]["name"].as_str().is_some_and(|name| name.contains("poison")),
            "AgentRestarted" | "NodeLost" | "WorkerKilled" => placed > 3,
            _ => false,
        };
        if holds && of_this { Ok(()) } else { Err(format!("I2: {uid} ended with {reason}, shows {shown:?}, was assigned {placed} times")) }
    }
}

/// I2: an end is final.
fn same_end(old: &Value, new: &Value) -> Result<(), String> {
    let fields = ["completionTime", "active", "succeeded", "failed", "output", "results"];
    if let Some(field) = fields.into_iter().find(|field| old[*field] != new[*field]) {
        return Err(format!("I2: {field} changes after the end from {} to {}", old[field], new[field]));
    }
    match ends(old).iter().find(|end| !ends(new).contains(end)) {
        Some(end) => Err(format!("I2: {end:?} is no more after the end: {:?}", ends(new))),
        None => Ok(()),
    }
}
