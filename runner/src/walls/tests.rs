use super::{Raised, Wall, choose, missing};
use crds::reason::Reason;

const BOTH: [Wall; 2] = [Wall::Landlock, Wall::Seccomp];

/// What is missing, what may be, and what is raised; `None`: nothing runs.
#[test]
fn a_missing_wall_is_missed_unless_it_was_allowed_by_name() {
    let raised = |landlock, seccomp| Some(Raised { landlock, seccomp });
    let rows: [(&[Wall], &[Wall], Option<Raised>); 8] = [
        (&[], &[], raised(true, true)),
        (&[], &BOTH, raised(true, true)),
        (&[Wall::Landlock], &[], None),
        (&[Wall::Landlock], &[Wall::Seccomp], None),
        (&[Wall::Landlock], &[Wall::Landlock], raised(false, true)),
        (&[Wall::Seccomp], &[Wall::Seccomp], raised(true, false)),
        (&BOTH, &[Wall::Landlock], None),
        (&BOTH, &BOTH, raised(false, false)),
    ];
    for (missing, may_lack, expected) in rows {
        let chosen = choose(missing, may_lack);
        assert_eq!(chosen.as_ref().ok(), expected.as_ref(), "{missing:?} {may_lack:?}");
        if let Err(failure) = chosen {
            assert_eq!(failure.reason, Reason::SandboxUnavailable);
            let unallowed = missing.iter().find(|wall| !may_lack.contains(wall)).unwrap();
            assert!(failure.message.contains(&format!("--may-lack-wall {unallowed}")), "{}", failure.message);
        }
    }
}

#[test]
fn walls_have_names_and_this_machine_has_all_of_them() {
    for wall in BOTH {
        assert_eq!(wall.to_string().parse(), Ok(wall));
    }
    assert!("Landlock".parse::<Wall>().is_err() && "".parse::<Wall>().is_err());
    assert_eq!(missing(), [], "the tests of the walls need a kernel that has them");
}
