//! Which status may follow which: the whole matrix, against the table that was read from the contract.

use super::judge::may_move;
use crate::status::StatusKind;
use crate::status::machine::{Refusal, allowed};

#[test]
fn of_all_moves_exactly_those_of_the_contract_are_allowed() {
    let mut allowed_moves = 0;
    for from in StatusKind::ALL {
        for to in StatusKind::ALL {
            let expected = match from {
                _ if may_move(from, to) => Ok(()),
                StatusKind::Stopped | StatusKind::Killed | StatusKind::Failed => {
                    Err(Refusal::Over { from, to })
                }
                _ => Err(Refusal::Backwards { from, to }),
            };
            assert_eq!(allowed(from, to, false), expected, "{from} to {to}");
            allowed_moves += usize::from(expected.is_ok());
        }
    }
    assert_eq!(allowed_moves, 6 + 5 + 4 + 3);
}

/// A restart policy adds two moves and takes none.
#[test]
fn a_restart_policy_leads_from_running_and_ready_back_to_starting_and_nowhere_else() {
    for from in StatusKind::ALL {
        for to in StatusKind::ALL {
            let again = to == StatusKind::Starting && matches!(from, StatusKind::Running | StatusKind::Ready);
            let expected = if again { Ok(()) } else { allowed(from, to, false) };
            assert_eq!(allowed(from, to, true), expected, "{from} to {to}");
        }
    }
}

#[test]
fn a_refusal_says_in_words_what_was_asked_and_why_not() {
    use StatusKind::{Running, Starting, Stopped};
    let over = Refusal::Over { from: Stopped, to: Running };
    assert_eq!(over.to_string(), "the proc is over (stopped); running comes too late");
    let backwards = Refusal::Backwards { from: Running, to: Starting };
    assert_eq!(backwards.to_string(), "running never becomes starting");
}

#[test]
fn a_refusal_reads_back_from_json() {
    let refusal = Refusal::Over { from: StatusKind::Killed, to: StatusKind::Ready };
    let json = serde_json::to_string(&refusal).unwrap();
    assert_eq!(json, r#"{"over":{"from":"killed","to":"ready"}}"#);
    assert_eq!(serde_json::from_str::<Refusal>(&json).unwrap(), refusal);
}

#[test]
fn the_ends_are_three() {
    let ends: Vec<_> = StatusKind::ALL.into_iter().filter(|kind| kind.is_exit()).collect();
    assert_eq!(ends, [StatusKind::Stopped, StatusKind::Killed, StatusKind::Failed]);
}
