//! What was passed over in a body, as warnings of the items it is in.

use crate::http::Warning;
use crate::http::body::{Oddity, OddityKind};

/// So many places are named; a body in another encoding may have a thousand.
const MOST_NAMED: usize = 5;

/// The warnings of an item with these oddities, one for each kind.
pub(super) fn warnings(oddities: &[&Oddity]) -> Vec<Warning> {
    let kinds = [OddityKind::Twice, OddityKind::Character, OddityKind::Deep];
    kinds.into_iter().filter_map(|kind| warning(kind, oddities)).collect()
}

fn warning(kind: OddityKind, oddities: &[&Oddity]) -> Option<Warning> {
    let mut places: Vec<&str> = oddities.iter().filter(|it| it.kind == kind).map(|it| it.pointer.as_str()).collect();
    places.dedup();
    let rest = places.len().saturating_sub(MOST_NAMED);
    places.truncate(MOST_NAMED);
    if places.is_empty() {
        return None;
    }
    let more = if rest > 0 { format!(" and in {rest} other places") } else { String::new() };
    let at = format!("{}{more}", places.join(", "));
    let detail = match kind {
        OddityKind::Twice => {
            format!("has a key twice with different values, at {at}: the last one counts, and the others are left out")
        }
        OddityKind::Character => format!(
            "has characters that can't be read or stored, at {at}: they were replaced by U+FFFD. Let the sender write \
             UTF-8, without U+0000 and half surrogate pairs"
        ),
        OddityKind::Deep => format!("nests deeper than 16 levels, at {at}: what is deeper is left out"),
    };
    Some(Warning { field: "body", detail })
}
