//! A schedule that breaks something, told: each step, the request it is about, and what it changed. For whoever has to understand it.

use std::fmt::Write as _;

use super::super::world::{Step, World};

/// Steps that are told after the schedule, when faults stop.
const AFTERWARDS: usize = 60;
/// Of a request or an object: more is not read.
const WIDTH: usize = 600;

/// Carries the schedule out again, and what follows when faults stop, up to what does not hold.
pub(super) fn told(mut world: World, steps: &[Step]) -> String {
    let mut text = String::new();
    for step in steps {
        if !tell(&mut world, step, &mut text) {
            return text;
        }
    }
    text.push_str("  faults stop\n");
    if let Err(why) = world.heal() {
        return text + &why;
    }
    for _ in 0..AFTERWARDS {
        let step = world.next_fair().unwrap_or_else(|| Step::Tick(world.next_due().saturating_sub(world.now).max(1)));
        if !tell(&mut world, &step, &mut text) {
            return text;
        }
    }
    match world.settle() {
        Err(why) => text + &why,
        Ok(()) => text + "and then all is well",
    }
}

/// Does a step and tells it. Whether all is well.
fn tell(world: &mut World, step: &Step, text: &mut String) -> bool {
    let wire = match step {
        Step::Serve(wire) | Step::Answer(wire) | Step::Silence(wire) | Step::Repeat(wire) => world.wires.get(wire),
        _ => None,
    };
    let about = wire.map(|wire| format!("{:?} {:?}", wire.from, wire.request)).unwrap_or_default();
    let seen = world.api.changes.len();
    let result = world.step(step);
    let short = |text: String| text.chars().take(WIDTH).collect::<String>();
    // Writing to a string never fails.
    let _ = writeln!(text, "  {} {step:?} {}", world.now, short(about));
    for change in world.api.changes.iter().skip(seen) {
        let after = change.after.as_ref().map(|after| format!("{} {}", after["spec"]["assignments"], after["status"]));
        let _ = writeln!(text, "      {} {:?} {}", change.revision, change.key, short(after.unwrap_or_default()));
    }
    for guest in world.guests() {
        let _ = writeln!(text, "      {} runs on {}", guest.fence, guest.node);
    }
    if let Err(why) = &result {
        let _ = writeln!(text, "  {why}");
    }
    result.is_ok()
}
